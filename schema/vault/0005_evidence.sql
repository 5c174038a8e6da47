SET ROLE vv_owner;

-- What showed that somebody represents a person; null: nobody was asked to say.
ALTER TABLE vault.representatives ADD COLUMN shown text;
RESET ROLE;

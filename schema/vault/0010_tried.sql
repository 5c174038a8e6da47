SET ROLE vv_owner;

-- Which change of a gateway was tried when it failed. One that is wanted later does not wait for the
-- next attempt: compared by the count of changes, not by the time, it cannot be mistaken for one that
-- was tried. Null: not known, so nothing waits.
ALTER TABLE vault.set_aside ADD COLUMN tried bigint;
COMMENT ON COLUMN vault.set_aside.tried IS 'vault.agents.wanted, as it was when the attempt began';
RESET ROLE;

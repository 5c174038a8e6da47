SET ROLE vv_owner;

-- An index of all people who were not erased could stand in for that of the primary key: to look for
-- one person would then read the pages of everybody, and fail with any one of them.
DROP INDEX vault.subjects_likeness_idx;
CREATE INDEX ON vault.subjects (likeness) WHERE likeness IS NOT NULL;
RESET ROLE;

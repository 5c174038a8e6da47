SET ROLE vv_owner;

-- How a person is recognised who is there already: keyed digests (HMAC-SHA-256, 16 bytes) of the name
-- and the month of birth, and of the national identifier (INS). Without trust's keys they say nothing.
-- Null: not calculated yet; trust does that before it compares. Cleared with the record.
ALTER TABLE vault.subjects ADD COLUMN likeness bytea, ADD COLUMN ins_likeness bytea;
CREATE INDEX ON vault.subjects (likeness) WHERE erased_at IS NULL;
CREATE INDEX ON vault.subjects (ins_likeness) WHERE ins_likeness IS NOT NULL;
CREATE INDEX ON vault.subjects (subject) WHERE likeness IS NULL AND erased_at IS NULL;
GRANT UPDATE (likeness, ins_likeness) ON vault.subjects TO vv_trust;
RESET ROLE;

SET ROLE vv_owner;

-- Units of the daemon's work that failed: set aside with their cause, and tried again. A row goes once
-- its unit succeeds. Names no person but by the random id of the subject.
CREATE TABLE vault.set_aside (
    work text NOT NULL,
    stands_in text NOT NULL,
    kind text NOT NULL,
    unit text NOT NULL,
    cause text NOT NULL,
    failures integer NOT NULL DEFAULT 1 CHECK (failures > 0),
    failed_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL,
    PRIMARY KEY (work, stands_in, kind, unit)
);
COMMENT ON COLUMN vault.set_aside.stands_in IS 'what the unit stands in the way of: the id of a gateway, or the name of a job';
CREATE INDEX ON vault.set_aside (work, next_attempt_at);
-- Whether a gateway that enrols brings a key that another one has.
CREATE INDEX ON vault.agents (lease_key) WHERE lease_key IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON vault.set_aside TO vv_trust;
RESET ROLE;

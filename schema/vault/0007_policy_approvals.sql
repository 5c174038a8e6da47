SET ROLE vv_owner;

-- That an officer approves a version of a purpose: this file, this policy, and in what it widens,
-- as it was shown. Signed with a key that only they have. Append-only by grant.
CREATE TABLE vault.policy_approvals (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    approver uuid NOT NULL REFERENCES vault.officers,
    document bytea NOT NULL,
    signature bytea NOT NULL,
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON vault.policy_approvals (purpose, version);

-- How each version came into force, signed by trust; it names the approvals that it rests on. A
-- version that was loaded before this table was there has none.
CREATE TABLE vault.policy_admissions (
    purpose text NOT NULL,
    version integer NOT NULL,
    document bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    admitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (purpose, version),
    FOREIGN KEY (purpose, version) REFERENCES vault.purposes
);

GRANT SELECT, INSERT ON vault.policy_approvals, vault.policy_admissions TO vv_trust;
RESET ROLE;

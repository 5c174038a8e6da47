SET ROLE vv_owner;

-- Epochs of pseudonym keys. The first of a purpose has no row; each later one has a root key of its
-- own, so that it can be destroyed alone.
CREATE TABLE vault.epochs (
    purpose text NOT NULL,
    epoch integer NOT NULL CHECK (epoch > 1),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at timestamptz,
    PRIMARY KEY (purpose, epoch)
);
COMMENT ON COLUMN vault.epochs.moved_at IS 'when the last handle had moved to it; null: the job is not done';
ALTER TABLE vault.handles ADD COLUMN key_epoch integer NOT NULL DEFAULT 1 CHECK (key_epoch > 0);
CREATE INDEX ON vault.handles (purpose, key_epoch, agent) WHERE ended_at IS NULL;

-- Who may decide for or with a person. The name is sealed under that person's key.
CREATE TABLE vault.representatives (
    representative uuid PRIMARY KEY,
    subject uuid NOT NULL REFERENCES vault.subjects,
    role text NOT NULL CHECK (role IN ('guardian', 'proxy')),
    purposes text[] NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    sealed bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE INDEX ON vault.representatives (subject);

-- Tokens of enrolment: only what a token is recognised by, never the token.
CREATE TABLE vault.enrolments (
    enrolment bytea PRIMARY KEY CHECK (octet_length(enrolment) = 8),
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    format text NOT NULL CHECK (format IN ('sealed', 'json')),
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    used_at timestamptz,
    request_sha256 bytea,
    agent text REFERENCES vault.agents,
    certificate bytea
);
COMMENT ON COLUMN vault.enrolments.request_sha256 IS 'of the one request that it was used for: the same, again, gets the same answer';

-- People who may ask for, or approve, that a pseudonym is given its name back.
CREATE TABLE vault.officers (
    officer uuid PRIMARY KEY,
    role text NOT NULL,
    public_key bytea NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
    key_id text NOT NULL,
    signature bytea NOT NULL,
    document bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);

CREATE TABLE vault.reidentifications (
    request uuid PRIMARY KEY,
    requester uuid NOT NULL REFERENCES vault.officers,
    document bytea NOT NULL,
    signature bytea NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    opened_at timestamptz
);
CREATE INDEX ON vault.reidentifications (requester, requested_at);

CREATE TABLE vault.approvals (
    request uuid NOT NULL REFERENCES vault.reidentifications,
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    approver uuid NOT NULL REFERENCES vault.officers,
    document bytea NOT NULL,
    signature bytea NOT NULL,
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON vault.approvals (request);

-- Every attempt, whatever came of it. Append-only by grant; no names and no pseudonyms.
CREATE TABLE vault.attempts (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request uuid,
    officer uuid,
    action text NOT NULL,
    outcome text NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What people asked for under the GDPR, and until when it is due.
CREATE TABLE vault.requests (
    request uuid PRIMARY KEY,
    subject uuid NOT NULL REFERENCES vault.subjects,
    kind text NOT NULL,
    received_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    extended_because text,
    closed_at timestamptz,
    outcome text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON vault.requests (due_at) WHERE closed_at IS NULL;
CREATE INDEX ON vault.requests (subject);

CREATE TABLE vault.exports (
    export uuid PRIMARY KEY,
    subject uuid NOT NULL REFERENCES vault.subjects,
    request uuid REFERENCES vault.requests,
    file text NOT NULL,
    sha256 bytea NOT NULL,
    observations bigint NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX ON vault.exports (expires_at) WHERE deleted_at IS NULL;

-- That identity data were corrected, and which fields: never what they were.
CREATE TABLE vault.rectifications (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject uuid NOT NULL REFERENCES vault.subjects,
    fields text[] NOT NULL,
    rectified_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON vault.rectifications (subject);

GRANT SELECT, INSERT ON vault.epochs, vault.representatives, vault.enrolments, vault.officers,
    vault.reidentifications, vault.approvals, vault.attempts, vault.requests, vault.exports,
    vault.rectifications TO vv_trust;
GRANT UPDATE (moved_at) ON vault.epochs TO vv_trust;
GRANT UPDATE (key_epoch) ON vault.handles TO vv_trust;
GRANT UPDATE (ended_at) ON vault.representatives, vault.officers TO vv_trust;
GRANT UPDATE (failures, used_at, request_sha256, agent, certificate) ON vault.enrolments TO vv_trust;
GRANT UPDATE (opened_at) ON vault.reidentifications TO vv_trust;
GRANT UPDATE (due_at, extended_because, closed_at, outcome) ON vault.requests TO vv_trust;
GRANT UPDATE (deleted_at) ON vault.exports TO vv_trust;
GRANT UPDATE (sealed) ON vault.subjects TO vv_trust;
RESET ROLE;

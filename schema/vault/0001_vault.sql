-- Roles are of the whole cluster, so they may be there already. No default password exists.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['vv_owner', 'vv_trust'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    IF NOT pg_has_role(current_user, 'vv_owner', 'MEMBER') THEN
        EXECUTE format('GRANT vv_owner TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS vault AUTHORIZATION vv_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- Who may connect to the telemetry database may not so much as look at this one.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO vv_owner, vv_trust', current_database());
END
$$;
GRANT USAGE ON SCHEMA vault TO vv_trust;
SET ROLE vv_owner;

-- A person. The record is sealed under a data key of its own; without key files it says nothing.
CREATE TABLE vault.subjects (
    subject uuid PRIMARY KEY,
    key_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Purposes with their policies. A version never changes.
CREATE TABLE vault.purposes (
    purpose text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    document bytea NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    key_id text NOT NULL,
    signature bytea NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (purpose, version)
);

-- What was decided. Append-only by grant; a fork of the chain is impossible by key.
CREATE TABLE vault.decisions (
    decision uuid PRIMARY KEY,
    position bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    subject uuid NOT NULL REFERENCES vault.subjects,
    purpose text NOT NULL,
    version integer NOT NULL,
    supersedes uuid REFERENCES vault.decisions,
    document bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (purpose, version) REFERENCES vault.purposes,
    UNIQUE NULLS NOT DISTINCT (subject, purpose, supersedes)
);
CREATE INDEX ON vault.decisions (subject, purpose, position);

-- Gateways. `wanted` counts changes of what an agent may measure, `applied` is the one that the
-- telemetry database has; the sealed lease waits here until the broker has it. So whatever a crash
-- interrupts, what is still to be done can be read off this row.
CREATE TABLE vault.agents (
    agent text PRIMARY KEY CHECK (agent ~ '^[0-9a-f]{16}$'),
    format text NOT NULL CHECK (format IN ('sealed', 'json')),
    lease_key bytea CHECK (octet_length(lease_key) = 32),
    enrolled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    wanted bigint NOT NULL DEFAULT 1,
    wanted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied bigint NOT NULL DEFAULT 0,
    lease_version bigint NOT NULL DEFAULT 0,
    lease bytea,
    lease_not_after timestamptz,
    due_at timestamptz,
    published_version bigint NOT NULL DEFAULT 0,
    CHECK (format = 'json' OR lease_key IS NOT NULL)
);
CREATE INDEX ON vault.agents (wanted_at) WHERE applied < wanted;
CREATE INDEX ON vault.agents (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX ON vault.agents (agent) WHERE lease IS NOT NULL AND published_version < lease_version;

CREATE TABLE vault.certificates (
    serial numeric(50) PRIMARY KEY,
    agent text NOT NULL REFERENCES vault.agents,
    not_after timestamptz NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON vault.certificates (agent);

CREATE TABLE vault.revocations (
    serial numeric(50) PRIMARY KEY REFERENCES vault.certificates,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Stand-ins for a person at a gateway. The sensors' addresses are sealed under the person's key.
CREATE TABLE vault.handles (
    handle bytea PRIMARY KEY CHECK (octet_length(handle) = 16),
    subject uuid NOT NULL REFERENCES vault.subjects,
    agent text NOT NULL REFERENCES vault.agents,
    epoch integer NOT NULL,
    purpose text NOT NULL,
    decision uuid NOT NULL REFERENCES vault.decisions,
    sealed_bindings bytea NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    UNIQUE (subject, agent, epoch)
);
CREATE INDEX ON vault.handles (agent) WHERE ended_at IS NULL;
CREATE INDEX ON vault.handles (subject, purpose) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX ON vault.handles (subject, agent, purpose) WHERE ended_at IS NULL;

GRANT SELECT, INSERT ON vault.subjects, vault.purposes, vault.decisions, vault.agents,
    vault.certificates, vault.revocations, vault.handles TO vv_trust;
GRANT UPDATE (revoked_at, wanted, wanted_at, applied, lease_version, lease, lease_not_after,
    due_at, published_version) ON vault.agents TO vv_trust;
GRANT UPDATE (ended_at) ON vault.handles TO vv_trust;
RESET ROLE;

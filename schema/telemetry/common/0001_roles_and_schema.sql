-- Roles are of the whole cluster, so they may be there already. None may log in until the operator
-- gives it a password (`vitalveil ingest migrate --role-password`): no default password exists.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['vv_owner', 'vv_ingest', 'vv_trust', 'vv_reader', 'vv_grafana'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    -- TimescaleDB runs a job only for an owner that may log in. Without a password it still cannot.
    ALTER ROLE vv_owner LOGIN PASSWORD NULL;
    IF NOT pg_has_role(current_user, 'vv_owner', 'MEMBER') THEN
        EXECUTE format('GRANT vv_owner TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS vv AUTHORIZATION vv_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA vv TO vv_ingest, vv_trust, vv_reader, vv_grafana;
SET ROLE vv_owner;

-- Who may send. Written by trust.
CREATE TABLE vv.agents (
    agent text PRIMARY KEY CHECK (agent ~ '^[0-9a-f]{16}$'),
    format text NOT NULL DEFAULT 'sealed' CHECK (format IN ('sealed', 'json')),
    revoked_at timestamptz,
    changed_epoch bigint NOT NULL
);
CREATE INDEX ON vv.agents (changed_epoch);

-- Under which leases they measured. Written by trust.
CREATE TABLE vv.leases (
    agent text NOT NULL REFERENCES vv.agents,
    version bigint NOT NULL,
    issued_at timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    changed_epoch bigint NOT NULL,
    PRIMARY KEY (agent, version)
);
CREATE INDEX ON vv.leases (changed_epoch);

-- What a row of observations belongs to. The pseudonym is bound to one purpose and epoch; no table
-- of this database leads from it to a person. Written by trust.
CREATE TABLE vv.series (
    series_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pseudonym bytea NOT NULL CHECK (octet_length(pseudonym) = 16),
    purpose text NOT NULL,
    quantity smallint NOT NULL,
    UNIQUE (pseudonym, quantity)
);

-- What may be stored now, flattened. Written by trust; a handle that was withdrawn never comes back.
CREATE TABLE vv.permissions (
    handle bytea NOT NULL CHECK (octet_length(handle) = 16),
    quantity smallint NOT NULL,
    agent text NOT NULL REFERENCES vv.agents,
    series_id integer NOT NULL REFERENCES vv.series,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    withdrawn_at timestamptz,
    step integer NOT NULL CHECK (step BETWEEN 1 AND 32767),
    interval_ms bigint NOT NULL CHECK (interval_ms >= 1),
    time_step_ms bigint NOT NULL CHECK (time_step_ms >= 1),
    changed_epoch bigint NOT NULL,
    PRIMARY KEY (handle, quantity)
);
CREATE INDEX ON vv.permissions (changed_epoch);
CREATE INDEX ON vv.permissions (agent);
CREATE INDEX ON vv.permissions (series_id);

-- One row. Its lock is what a withdrawal and a commit of observations exclude each other with.
CREATE TABLE vv.permission_gate (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch bigint NOT NULL
);
INSERT INTO vv.permission_gate VALUES (true, 0);

-- Taken by every transaction that stores observations, before it looks at permissions. Held until
-- its end. ROW SHARE against EXCLUSIVE, and not ACCESS SHARE against ACCESS EXCLUSIVE: a backup
-- holds ACCESS SHARE on every table for hours, and no backup may hold up a withdrawal.
CREATE FUNCTION vv.hold_permissions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE vv.permission_gate IN ROW SHARE MODE;
    RETURN (SELECT epoch FROM vv.permission_gate);
END
$$;

-- Taken first by every transaction that changes agents, leases or permissions. Returns the epoch
-- to write into changed_epoch; tells every listener once it is committed.
CREATE FUNCTION vv.change_permissions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_epoch bigint;
BEGIN
    LOCK TABLE vv.permission_gate IN EXCLUSIVE MODE;
    UPDATE vv.permission_gate SET epoch = epoch + 1 RETURNING epoch INTO new_epoch;
    PERFORM pg_notify('vv_permissions', new_epoch::text);
    RETURN new_epoch;
END
$$;

REVOKE ALL ON FUNCTION vv.hold_permissions(), vv.change_permissions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.hold_permissions() TO vv_ingest;
GRANT EXECUTE ON FUNCTION vv.change_permissions() TO vv_trust;
GRANT SELECT ON vv.agents, vv.leases, vv.permissions, vv.permission_gate TO vv_ingest;
GRANT SELECT, INSERT, UPDATE ON vv.agents, vv.leases, vv.permissions TO vv_trust;
GRANT SELECT, INSERT ON vv.series TO vv_trust;
GRANT SELECT ON vv.permission_gate TO vv_trust;
RESET ROLE;

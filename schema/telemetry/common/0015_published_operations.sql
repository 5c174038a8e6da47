-- What people and dashboards see of operations comes from tables that are filled once an hour. A view
-- over live tables tells, by its plan's row counts or by two readings, when one reading came or one
-- person withdrew; and who keeps it open holds the live tables' locks.
SET ROLE vv_owner;

-- Rounded down to a multiple of 11; below 11 it is 0: what one of few did is not told.
CREATE FUNCTION vv.coarse(exact bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT exact / 11 * 11 $$;

CREATE TABLE vv.published_envelopes (
    bucket timestamptz NOT NULL,
    outcome text NOT NULL,
    envelopes bigint NOT NULL,
    observations bigint NOT NULL,
    PRIMARY KEY (bucket, outcome)
);
COMMENT ON TABLE vv.published_envelopes IS 'only hours that have ended, and in which 11 gateways or more had it';

CREATE TABLE vv.published_quarantine (
    reason text PRIMARY KEY,
    envelopes bigint NOT NULL,
    oldest_received_at timestamptz NOT NULL,
    newest_received_at timestamptz NOT NULL,
    next_expires_at timestamptz NOT NULL
);
CREATE TABLE vv.published_agents (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    agents bigint NOT NULL,
    revoked bigint NOT NULL,
    with_lease bigint NOT NULL,
    lease_ends_within_1h bigint NOT NULL
);
CREATE TABLE vv.published_permissions (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    in_force bigint NOT NULL,
    ended bigint NOT NULL,
    withdrawn bigint NOT NULL,
    epoch bigint NOT NULL
);
CREATE TABLE vv.published_series (
    purpose text NOT NULL,
    quantity text NOT NULL,
    series bigint NOT NULL,
    PRIMARY KEY (purpose, quantity)
);
CREATE TABLE vv.published_storage (
    store text COLLATE "C" PRIMARY KEY,
    parts bigint NOT NULL,
    bytes numeric NOT NULL,
    rows_about bigint NOT NULL
);
CREATE TABLE vv.published_erasures (
    bucket timestamptz PRIMARY KEY,
    erasures bigint NOT NULL
);
-- Of which hour the tables above are.
CREATE TABLE vv.published_at (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    hour timestamptz NOT NULL
);

-- Publishes once an hour; returns whether it did. Rows are replaced, tables never: a reader holds up
-- nothing, and is held up by nothing.
CREATE FUNCTION vv.publish_operations(now timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    this_hour timestamptz := date_trunc('hour', now);
    since timestamptz;
BEGIN
    IF NOT vv.take_turn('publish_operations')
        OR EXISTS (SELECT FROM vv.published_at WHERE hour = this_hour) THEN
        RETURN false;
    END IF;

    -- An hour that was published does not change any more.
    since := greatest((SELECT hour FROM vv.published_at), this_hour - INTERVAL '24 hours');
    INSERT INTO vv.published_envelopes
    SELECT date_trunc('hour', stored_at),
        CASE outcome WHEN 0 THEN 'accepted' WHEN 1 THEN 'refused' WHEN 3 THEN 'given_up'
            ELSE 'quarantined' END,
        vv.coarse(count(*)), vv.coarse(sum(observations))
    FROM vv.envelopes
    WHERE stored_at >= since AND stored_at < this_hour
    GROUP BY 1, 2 HAVING count(DISTINCT agent) >= 11
    ON CONFLICT DO NOTHING;
    DELETE FROM vv.published_envelopes WHERE bucket < this_hour - INTERVAL '24 hours';

    DELETE FROM vv.published_quarantine;
    INSERT INTO vv.published_quarantine
    SELECT reason, vv.coarse(count(*)), date_trunc('day', min(received_at)),
        date_trunc('day', max(received_at)), date_trunc('day', min(expires_at))
    FROM vv.quarantine GROUP BY reason HAVING count(*) >= 11;

    DELETE FROM vv.published_agents;
    INSERT INTO vv.published_agents
    SELECT true, vv.coarse(count(*)), vv.coarse(count(*) FILTER (WHERE a.revoked_at IS NOT NULL)),
        vv.coarse(count(*) FILTER (WHERE l.not_after > now)),
        vv.coarse(count(*) FILTER (WHERE l.not_after BETWEEN now AND now + INTERVAL '1 hour'))
    FROM vv.agents a
    LEFT JOIN (SELECT agent, max(not_after) AS not_after FROM vv.leases GROUP BY agent) l
        USING (agent);

    DELETE FROM vv.published_permissions;
    INSERT INTO vv.published_permissions
    SELECT true, vv.coarse(count(*) FILTER (
            WHERE withdrawn_at IS NULL AND (valid_to IS NULL OR valid_to > now))),
        vv.coarse(count(*) FILTER (WHERE withdrawn_at IS NULL AND valid_to <= now)),
        vv.coarse(count(*) FILTER (WHERE withdrawn_at IS NOT NULL)),
        vv.coarse((SELECT epoch FROM vv.permission_gate))
    FROM vv.permissions;

    DELETE FROM vv.published_series;
    INSERT INTO vv.published_series
    SELECT s.purpose, q.name, vv.coarse(count(*))
    FROM vv.series s JOIN vv.quantities q USING (quantity)
    GROUP BY s.purpose, q.name HAVING count(*) >= 11;

    -- Rows to the thousand, bytes to the mebibyte.
    DELETE FROM vv.published_storage;
    INSERT INTO vv.published_storage
    SELECT CASE
            WHEN i.inhparent = 'vv.observations'::regclass THEN 'observations'
            WHEN n.nspname = 'vv' THEN c.relname::text
            WHEN c.relname LIKE 'compress\_hyper\_%' THEN 'observations_compressed'
            ELSE 'aggregates'
        END AS store,
        count(*), ceil(sum(pg_total_relation_size(c.oid)) / 1048576) * 1048576,
        sum(greatest(c.reltuples, 0))::bigint / 1000 * 1000
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE c.relkind = 'r' AND n.nspname IN ('vv', '_timescaledb_internal')
        AND pg_get_userbyid(c.relowner) = 'vv_owner'
    GROUP BY 1;

    DELETE FROM vv.published_erasures;
    INSERT INTO vv.published_erasures
    SELECT date_trunc('day', erased_at), vv.coarse(count(*)) FROM vv.erasures
    WHERE erased_at < date_trunc('day', now) GROUP BY 1 HAVING count(*) >= 11;

    DELETE FROM vv.published_at;
    INSERT INTO vv.published_at VALUES (true, this_hour);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION vv.coarse(bigint), vv.publish_operations(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.publish_operations(timestamptz) TO vv_trust;

-- The names, columns and types of before.
CREATE OR REPLACE VIEW vv.ops_envelopes_hourly WITH (security_barrier) AS
SELECT bucket, outcome, envelopes, observations FROM vv.published_envelopes;

CREATE OR REPLACE VIEW vv.ops_quarantine WITH (security_barrier) AS
SELECT reason, envelopes, oldest_received_at, newest_received_at, next_expires_at
FROM vv.published_quarantine;

CREATE OR REPLACE VIEW vv.ops_agents WITH (security_barrier) AS
SELECT agents, revoked, with_lease, lease_ends_within_1h FROM vv.published_agents;

CREATE OR REPLACE VIEW vv.ops_permissions WITH (security_barrier) AS
SELECT in_force, ended, withdrawn, epoch FROM vv.published_permissions;

CREATE OR REPLACE VIEW vv.ops_series WITH (security_barrier) AS
SELECT purpose, quantity, series FROM vv.published_series;

CREATE OR REPLACE VIEW vv.ops_storage WITH (security_barrier) AS
SELECT store, parts, bytes, rows_about FROM vv.published_storage;

CREATE OR REPLACE VIEW vv.ops_erasures WITH (security_barrier) AS
SELECT bucket, erasures FROM vv.published_erasures;

-- Nobody sees an empty board until the daemon comes by.
SELECT vv.publish_operations(clock_timestamp());
RESET ROLE;

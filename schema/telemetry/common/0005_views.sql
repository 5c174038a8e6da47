SET ROLE vv_owner;

-- What dashboards may see. Whoever can look at a dashboard can send any SQL, so the role behind it
-- has these views and nothing else: no grant on a table, a chunk or an aggregate.

-- A person who has her data restricted (GDPR art. 18) is kept, and left out of every view.
ALTER TABLE vv.series ADD COLUMN restricted_at timestamptz;

CREATE TABLE vv.quantities (
    quantity smallint PRIMARY KEY,
    name text NOT NULL UNIQUE,
    unit text NOT NULL,
    shown_to double precision NOT NULL
);
COMMENT ON COLUMN vv.quantities.unit IS 'UCUM';
COMMENT ON COLUMN vv.quantities.shown_to IS 'what figures of a cohort are rounded to';
INSERT INTO vv.quantities VALUES
    (1, 'heart_rate', '/min', 1),
    (2, 'rr_interval', 'ms', 10),
    (3, 'glucose_capillary', 'mmol/L', 0.1),
    (4, 'glucose_interstitial', 'mmol/L', 0.1),
    (5, 'spo2', '%', 0.5),
    (6, 'pulse_rate', '/min', 1),
    (7, 'blood_pressure_systolic', 'mm[Hg]', 1),
    (8, 'blood_pressure_diastolic', 'mm[Hg]', 1),
    (9, 'blood_pressure_mean', 'mm[Hg]', 1),
    (10, 'body_temperature', 'Cel', 0.1),
    (11, 'body_weight', 'kg', 1),
    (12, 'energy_expended', 'kJ', 10),
    (13, 'battery_level', '%', 1);

-- Figures of cohorts, published once and never changed: what came late, or left, cannot be told
-- from two readings of the same hour. Fixed partitions (purpose, quantity, hour or day), at least
-- 11 subjects, each with the same weight, no extremes, rounded.
CREATE TABLE vv.published_cohorts (
    width text NOT NULL CHECK (width IN ('hour', 'day')),
    bucket timestamptz NOT NULL,
    purpose text NOT NULL,
    quantity smallint NOT NULL,
    subjects integer NOT NULL CHECK (subjects >= 11),
    mean double precision NOT NULL,
    spread double precision NOT NULL,
    PRIMARY KEY (width, bucket, purpose, quantity)
);
CREATE TABLE vv.published_through (
    width text PRIMARY KEY,
    through timestamptz NOT NULL
);

-- Publishes the hours that ended two hours ago or more, and the days that ended a day ago or more,
-- which are not published yet; from 30 days back at the first time. Returns how many figures.
CREATE FUNCTION vv.publish_cohorts(now timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    step record;
    since timestamptz;
    figures integer := 0;
    added integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('vv.publish_cohorts')) THEN
        RETURN 0;
    END IF;
    FOR step IN SELECT * FROM (VALUES
        ('hour', 'vv.aggregates_1h', date_trunc('hour', now - INTERVAL '2 hours')),
        ('day', 'vv.aggregates_1d', date_trunc('day', now - INTERVAL '1 day'))
    ) AS s (width, source, through) LOOP
        SELECT through INTO since FROM vv.published_through WHERE width = step.width;
        since := coalesce(since, step.through - INTERVAL '30 days');
        CONTINUE WHEN since >= step.through;
        EXECUTE format($sql$
            INSERT INTO vv.published_cohorts
            SELECT %L, a.bucket, s.purpose, s.quantity,
                count(DISTINCT s.pseudonym) / 11 * 11,
                round(avg(a.total / a.observations) / q.shown_to) * q.shown_to,
                round(stddev_pop(a.total / a.observations) / q.shown_to) * q.shown_to
            FROM %s a JOIN vv.series s USING (series_id) JOIN vv.quantities q USING (quantity)
            WHERE a.bucket >= $1 AND a.bucket < $2 AND s.restricted_at IS NULL
            GROUP BY a.bucket, s.purpose, s.quantity, q.shown_to
            HAVING count(DISTINCT s.pseudonym) >= 11
            ON CONFLICT DO NOTHING
        $sql$, step.width, step.source) USING since, step.through;
        GET DIAGNOSTICS added = ROW_COUNT;
        figures := figures + added;
        INSERT INTO vv.published_through VALUES (step.width, step.through)
        ON CONFLICT (width) DO UPDATE SET through = excluded.through;
    END LOOP;
    RETURN figures;
END
$$;
REVOKE ALL ON FUNCTION vv.publish_cohorts(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.publish_cohorts(timestamptz) TO vv_trust;

CREATE VIEW vv.cohorts_hourly WITH (security_barrier) AS
SELECT c.bucket, c.purpose, q.name AS quantity, q.unit, c.subjects, c.mean, c.spread
FROM vv.published_cohorts c JOIN vv.quantities q USING (quantity) WHERE c.width = 'hour';

CREATE VIEW vv.cohorts_daily WITH (security_barrier) AS
SELECT c.bucket, c.purpose, q.name AS quantity, q.unit, c.subjects, c.mean, c.spread
FROM vv.published_cohorts c JOIN vv.quantities q USING (quantity) WHERE c.width = 'day';

-- Operations: counts of envelopes, gateways and bytes; never of one person.

CREATE INDEX ON vv.envelopes USING brin (stored_at) WITH (autosummarize = on);
CREATE VIEW vv.ops_envelopes_hourly WITH (security_barrier) AS
SELECT date_trunc('hour', stored_at, 'UTC') AS bucket,
    CASE outcome WHEN 0 THEN 'accepted' WHEN 1 THEN 'refused' ELSE 'quarantined' END AS outcome,
    count(*) AS envelopes, sum(observations) AS observations
FROM vv.envelopes WHERE stored_at >= date_trunc('hour', now(), 'UTC') - INTERVAL '24 hours'
GROUP BY 1, 2;

CREATE VIEW vv.ops_quarantine WITH (security_barrier) AS
SELECT reason, count(*) AS envelopes, min(received_at) AS oldest_received_at,
    max(received_at) AS newest_received_at, min(expires_at) AS next_expires_at
FROM vv.quarantine GROUP BY reason;

CREATE VIEW vv.ops_agents WITH (security_barrier) AS
SELECT count(*) AS agents,
    count(*) FILTER (WHERE a.revoked_at IS NOT NULL) AS revoked,
    count(*) FILTER (WHERE l.not_after > now()) AS with_lease,
    count(*) FILTER (WHERE l.not_after BETWEEN now() AND now() + INTERVAL '1 hour')
        AS lease_ends_within_1h
FROM vv.agents a
LEFT JOIN (SELECT agent, max(not_after) AS not_after FROM vv.leases GROUP BY agent) l USING (agent);

CREATE VIEW vv.ops_permissions WITH (security_barrier) AS
SELECT count(*) FILTER (WHERE withdrawn_at IS NULL AND (valid_to IS NULL OR valid_to > now()))
        AS in_force,
    count(*) FILTER (WHERE withdrawn_at IS NULL AND valid_to <= now()) AS ended,
    count(*) FILTER (WHERE withdrawn_at IS NOT NULL) AS withdrawn,
    (SELECT epoch FROM vv.permission_gate) AS epoch
FROM vv.permissions;

CREATE VIEW vv.ops_series WITH (security_barrier) AS
SELECT s.purpose, q.name AS quantity, count(*) / 11 * 11 AS series
FROM vv.series s JOIN vv.quantities q USING (quantity)
GROUP BY s.purpose, q.name HAVING count(*) >= 11;

CREATE VIEW vv.ops_storage WITH (security_barrier) AS
SELECT CASE
        WHEN i.inhparent = 'vv.observations'::regclass THEN 'observations'
        WHEN n.nspname = 'vv' THEN c.relname::text
        WHEN c.relname LIKE 'compress\_hyper\_%' THEN 'observations_compressed'
        ELSE 'aggregates'
    END AS store,
    count(*) AS parts, sum(pg_total_relation_size(c.oid)) AS bytes,
    sum(greatest(c.reltuples, 0))::bigint AS rows_about
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND n.nspname IN ('vv', '_timescaledb_internal')
    AND pg_get_userbyid(c.relowner) = 'vv_owner'
GROUP BY 1;

CREATE VIEW vv.ops_cohorts WITH (security_barrier) AS
SELECT p.width, p.through, (SELECT count(*) FROM vv.published_cohorts c WHERE c.width = p.width)
    AS figures
FROM vv.published_through p;

GRANT SELECT ON vv.cohorts_hourly, vv.cohorts_daily, vv.ops_envelopes_hourly, vv.ops_quarantine,
    vv.ops_agents, vv.ops_permissions, vv.ops_series, vv.ops_storage, vv.ops_cohorts, vv.quantities
    TO vv_reader, vv_grafana;
RESET ROLE;

SET ROLE vv_owner;

-- Means and extremes of each series by the minute, hour and day. With TimescaleDB and its own
-- licence they are continuous aggregates; else tables that vv.roll_up() fills. The names, and the
-- columns, are the same: no reader can tell.
DO $$
DECLARE
    source text := 'vv.observations';
    step record;
BEGIN
    FOR step IN SELECT * FROM (VALUES
        (1, 'vv.aggregates_1m', INTERVAL '1 minute', INTERVAL '3 days', INTERVAL '1 minute'),
        (2, 'vv.aggregates_1h', INTERVAL '1 hour', INTERVAL '10 days', INTERVAL '10 minutes'),
        (3, 'vv.aggregates_1d', INTERVAL '1 day', INTERVAL '40 days', INTERVAL '1 hour')
    ) AS s (place, name, width, back, every) ORDER BY place LOOP
        IF coalesce(current_setting('timescaledb.license', true), '') = 'timescale'
            AND EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
            EXECUTE format($sql$
                CREATE MATERIALIZED VIEW %s WITH (
                    timescaledb.continuous, timescaledb.materialized_only = false
                ) AS SELECT time_bucket(%L::interval, %I) AS bucket, series_id,
                    %s AS observations, %s AS total, %s AS lowest, %s AS highest
                FROM %s GROUP BY 1, 2 WITH NO DATA
            $sql$, step.name, step.width, CASE step.place WHEN 1 THEN 'time' ELSE 'bucket' END,
                CASE step.place WHEN 1 THEN 'count(*)' ELSE 'sum(observations)::bigint' END,
                CASE step.place WHEN 1 THEN 'sum(value::double precision)' ELSE 'sum(total)' END,
                CASE step.place WHEN 1 THEN 'min(value)' ELSE 'min(lowest)' END,
                CASE step.place WHEN 1 THEN 'max(value)' ELSE 'max(highest)' END,
                source);
            PERFORM add_continuous_aggregate_policy(step.name::regclass,
                start_offset => step.back, end_offset => step.width,
                schedule_interval => step.every);
        ELSE
            EXECUTE format($sql$
                CREATE TABLE %s (
                    bucket timestamptz NOT NULL,
                    series_id integer NOT NULL,
                    observations bigint NOT NULL,
                    total double precision NOT NULL,
                    lowest real NOT NULL,
                    highest real NOT NULL,
                    PRIMARY KEY (series_id, bucket)
                )
            $sql$, step.name);
            EXECUTE format('CREATE INDEX ON %s USING brin (bucket)', step.name);
        END IF;
        source := step.name;
    END LOOP;
END
$$;

-- How many rows a partition had taken when it was last rolled up as a whole: late rows show in it.
CREATE TABLE vv.rolled_up (
    partition text PRIMARY KEY,
    inserted bigint NOT NULL,
    rolled_at timestamptz NOT NULL
);

-- Rolls up [first, last) of one partition or of all. What is there is replaced only by more: rows
-- that retention took away do not take their aggregates with them.
CREATE FUNCTION vv.roll_up_range(source regclass, first timestamptz, last timestamptz)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    changed bigint := 0;
    level integer;
BEGIN
    EXECUTE format($sql$
        INSERT INTO vv.aggregates_1m
        SELECT date_trunc('minute', time), series_id, count(*), sum(value::double precision),
            min(value), max(value)
        FROM %s WHERE time >= $1 AND time < $2 GROUP BY 1, 2
        ON CONFLICT (series_id, bucket) DO UPDATE SET observations = excluded.observations,
            total = excluded.total, lowest = excluded.lowest, highest = excluded.highest
        WHERE excluded.observations > aggregates_1m.observations
    $sql$, source) USING date_trunc('minute', first), last;
    GET DIAGNOSTICS changed = ROW_COUNT;
    FOR level IN 1..2 LOOP
        EXECUTE format($sql$
            INSERT INTO vv.aggregates_%2$s
            SELECT date_trunc(%3$L, bucket), series_id, sum(observations), sum(total),
                min(lowest), max(highest)
            FROM vv.aggregates_%1$s WHERE bucket >= $1 AND bucket < $2 GROUP BY 1, 2
            ON CONFLICT (series_id, bucket) DO UPDATE SET observations = excluded.observations,
                total = excluded.total, lowest = excluded.lowest, highest = excluded.highest
            WHERE excluded.observations > aggregates_%2$s.observations
        $sql$, CASE level WHEN 1 THEN '1m' ELSE '1h' END, CASE level WHEN 1 THEN '1h' ELSE '1d' END,
            CASE level WHEN 1 THEN 'hour' ELSE 'day' END)
        USING date_trunc(CASE level WHEN 1 THEN 'hour' ELSE 'day' END, first), last;
    END LOOP;
    RETURN changed;
END
$$;

-- Brings the aggregates up to *now*, where no continuous aggregate does: the last quarter of an
-- hour always, and each partition that took rows since, whole, at most once an hour. Returns how
-- many minutes changed.
CREATE FUNCTION vv.roll_up(now timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    changed bigint := 0;
    part record;
    reach record;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'vv.aggregates_1m'::regclass) <> 'r' THEN
        RETURN 0;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('vv.roll_up')) THEN
        RETURN 0;
    END IF;
    changed := vv.roll_up_range('vv.observations', now - INTERVAL '15 minutes', now);
    FOR part IN
        SELECT i.inhrelid::regclass AS partition, s.n_tup_ins AS inserted
        FROM pg_inherits i JOIN pg_stat_user_tables s ON s.relid = i.inhrelid
        LEFT JOIN vv.rolled_up r ON r.partition = i.inhrelid::regclass::text
        WHERE i.inhparent = 'vv.observations'::regclass
            AND r.inserted IS DISTINCT FROM s.n_tup_ins
            AND (r.rolled_at IS NULL OR r.rolled_at <= now - INTERVAL '1 hour')
    LOOP
        EXECUTE format('SELECT min(time) AS first, max(time) AS last FROM %s', part.partition)
            INTO reach;
        IF reach.first IS NOT NULL THEN
            changed := changed + vv.roll_up_range(
                part.partition, reach.first, reach.last + INTERVAL '1 microsecond');
        END IF;
        INSERT INTO vv.rolled_up VALUES (part.partition::text, part.inserted, now)
        ON CONFLICT (partition) DO UPDATE
            SET inserted = excluded.inserted, rolled_at = excluded.rolled_at;
    END LOOP;
    DELETE FROM vv.rolled_up r WHERE to_regclass(r.partition) IS NULL;
    RETURN changed;
END
$$;

REVOKE ALL ON FUNCTION vv.roll_up_range(regclass, timestamptz, timestamptz),
    vv.roll_up(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.roll_up(timestamptz) TO vv_trust;
RESET ROLE;

SET ROLE vv_owner;

-- What is deleted because its time is over is at least a day old on this database's clock, whatever
-- trust's clock says, and whoever speaks in trust's name: no policy keeps anything for less than a day.
-- CREATE OR REPLACE leaves the rights as they are.
CREATE FUNCTION vv.at_least_a_day_ago(until timestamptz) RETURNS timestamptz
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN least(until, clock_timestamp() - interval '1 day');
REVOKE ALL ON FUNCTION vv.at_least_a_day_ago(timestamptz) FROM PUBLIC;


-- As before; and only of series that have no reading from before *until* any more: as long as one is
-- there, it can be told under which permission it was stored.
CREATE OR REPLACE FUNCTION vv.prune_periods(of_purpose text, until timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned bigint;
    ended bigint[];
    wanted integer[];
BEGIN
    until := vv.at_least_a_day_ago(until);
    SELECT array_agg(p.position), array_agg(DISTINCT p.series_id) INTO ended, wanted
    FROM vv.permission_periods p JOIN vv.series s USING (series_id)
    WHERE s.purpose = of_purpose AND p.recorded_at < until
        AND (p.state = 'withdrawn' OR EXISTS (
            SELECT FROM vv.permission_periods n
            WHERE n.handle = p.handle AND n.quantity = p.quantity AND n.position > p.position
                AND n.recorded_at < until));
    IF ended IS NULL THEN
        RETURN 0;
    END IF;
    -- Once for all of them: observations have no index by series.
    wanted := ARRAY(SELECT unnest(wanted) EXCEPT
        SELECT DISTINCT o.series_id FROM vv.observations o
        WHERE o.time < until AND o.series_id = ANY(wanted));
    DELETE FROM vv.permission_periods p
    WHERE p.position = ANY(ended) AND p.series_id = ANY(wanted);
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

-- As before; and what flushes of the last 13 days held stays: it is looked at within two weeks, and a
-- day is for clocks.
CREATE OR REPLACE FUNCTION vv.prune_flushes(until timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned bigint;
BEGIN
    DELETE FROM vv.flushes WHERE held_at < least(until, clock_timestamp() - interval '13 days');
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

CREATE OR REPLACE FUNCTION vv.prune_leases(until timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned bigint;
BEGIN
    DELETE FROM vv.leases l
    USING (SELECT agent, max(version) AS version FROM vv.leases GROUP BY agent) newest
    WHERE l.agent = newest.agent AND l.version < newest.version
        AND l.not_after < vv.at_least_a_day_ago(until);
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

CREATE OR REPLACE FUNCTION vv.retain(of_purpose text, raw_from timestamptz, aggregates_from timestamptz)
RETURNS TABLE (store text, row_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted integer[];
    part record;
BEGIN
    SELECT coalesce(array_agg(series_id), '{}') INTO wanted FROM vv.series
    WHERE purpose = of_purpose;
    FOR part IN SELECT 'observations' AS store, 'vv.observations' AS place, 'time' AS at,
            vv.at_least_a_day_ago(raw_from) AS since
        UNION ALL SELECT t.store, t.place, 'bucket', vv.at_least_a_day_ago(aggregates_from)
        FROM vv.aggregate_tables() t
    LOOP
        store := part.store;
        EXECUTE format('SELECT count(*) FROM %s WHERE %I < $1 AND series_id = ANY($2)',
            part.place, part.at) INTO row_count USING part.since, wanted;
        IF row_count > 0 THEN
            EXECUTE format('DELETE FROM %s WHERE %I < $1 AND series_id = ANY($2)',
                part.place, part.at) USING part.since, wanted;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION vv.drop_partitions(until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET lock_timeout = '3s' AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    until := vv.at_least_a_day_ago(until);
    IF (SELECT relkind FROM pg_class WHERE oid = 'vv.observations'::regclass) <> 'p' THEN
        EXECUTE 'SELECT count(*) FROM public.drop_chunks(''vv.observations'', older_than => $1)'
            INTO dropped USING until;
        RETURN dropped;
    END IF;
    FOR part IN SELECT i.inhrelid::regclass AS name,
            to_date(right(i.inhrelid::regclass::text, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i WHERE i.inhparent = 'vv.observations'::regclass LOOP
        IF (part.day + 1)::timestamptz <= until THEN
            EXECUTE format('DROP TABLE %s', part.name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;
RESET ROLE;

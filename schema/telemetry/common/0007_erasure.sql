-- To sweep pg_statistic, which keeps values, takes the owner of the database. Where it may not be
-- given, an administrator's connection sweeps (settings of trust, section erasure).
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO vv_owner', current_database());
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'vv_owner does not own this database';
END
$$;
SET ROLE vv_owner;

-- Which erasures of trust's ledger were done in this database. A backup lacks the last of them.
CREATE TABLE vv.erasures (
    number bigint PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Trust's word that this database, as it stands, has seen every erasure. It holds for this start of
-- the server, this timeline, this database and this table: whatever was restored has lost it.
ALTER TABLE vv.permission_gate
    ADD COLUMN cleared_at timestamptz,
    ADD COLUMN cleared_timeline text,
    ADD COLUMN cleared_database oid,
    ADD COLUMN cleared_table oid;

-- NULL where trust never came: such a database has no permissions of trust's, either.
CREATE FUNCTION vv.is_cleared() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT cleared_at >= pg_postmaster_start_time()
        AND cleared_timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8)
        AND cleared_database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND cleared_table = 'vv.permission_gate'::regclass
    FROM vv.permission_gate
$$;

-- As before; and no observation is stored in a database that may hold again what was erased.
CREATE OR REPLACE FUNCTION vv.hold_permissions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE vv.permission_gate IN ROW SHARE MODE;
    IF NOT vv.is_cleared() THEN
        RAISE EXCEPTION 'trust has not looked at this database since it was started or restored'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Run `vitalveil trust run`, or `vitalveil trust erase replay` once.';
    END IF;
    RETURN (SELECT epoch FROM vv.permission_gate);
END
$$;

-- Clears the database if it has seen every erasure of *ledger*; returns those that it has not.
CREATE FUNCTION vv.clear_erasures(ledger bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    missing bigint[];
BEGIN
    SELECT array_agg(n ORDER BY n) INTO missing FROM unnest(ledger) n
    WHERE NOT EXISTS (SELECT FROM vv.erasures WHERE number = n);
    IF missing IS NULL AND vv.is_cleared() IS NOT TRUE THEN
        UPDATE vv.permission_gate SET cleared_at = clock_timestamp(),
            cleared_timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8),
            cleared_database = (SELECT oid FROM pg_database WHERE datname = current_database()),
            cleared_table = 'vv.permission_gate'::regclass;
    END IF;
    RETURN coalesce(missing, '{}');
END
$$;

-- The tables that hold aggregates: the continuous aggregates' own, or the plain ones.
CREATE FUNCTION vv.aggregate_tables() RETURNS TABLE (store text, place text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'vv.aggregates_1m'::regclass) = 'r' THEN
        RETURN QUERY SELECT s, 'vv.' || s
            FROM unnest('{aggregates_1m,aggregates_1h,aggregates_1d}'::text[]) s;
    ELSE
        RETURN QUERY EXECUTE
            'SELECT view_name::text, format(''%I.%I'', materialization_hypertable_schema,
                materialization_hypertable_name)
            FROM timescaledb_information.continuous_aggregates WHERE view_schema = ''vv''';
    END IF;
END
$$;

-- How many rows each store has of these series.
CREATE FUNCTION vv.count_series(wanted integer[]) RETURNS TABLE (store text, row_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT 'observations' AS store, 'vv.observations' AS place
        UNION ALL SELECT * FROM vv.aggregate_tables() LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::text, count(*) FROM %s WHERE series_id = ANY($1)', part.store, part.place)
            USING wanted;
    END LOOP;
END
$$;

-- Takes every row of these series out of every store, whatever its time, and looks again until
-- there is none: a DELETE on a partly compressed chunk has been known to miss rows.
CREATE FUNCTION vv.erase_series(wanted integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    remaining bigint;
BEGIN
    FOR part IN SELECT 'vv.observations' AS place
        UNION ALL SELECT t.place FROM vv.aggregate_tables() t LOOP
        FOR turn IN 1..5 LOOP
            EXECUTE format('DELETE FROM %s WHERE series_id = ANY($1)', part.place) USING wanted;
            EXECUTE format('SELECT count(*) FROM %s WHERE series_id = ANY($1)', part.place)
                INTO remaining USING wanted;
            EXIT WHEN remaining = 0;
        END LOOP;
        IF remaining > 0 THEN
            RAISE EXCEPTION 'rows remain after five turns' USING ERRCODE = 'internal_error';
        END IF;
    END LOOP;
END
$$;

-- Forgets handles and series for good, and what rests in quarantine of the gateways concerned: it
-- is sealed, so nobody can tell whose it is.
CREATE FUNCTION vv.erase_keys(handles bytea[], wanted integer[], gateways text[])
RETURNS TABLE (store text, row_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    store := 'permissions';
    DELETE FROM vv.permissions p WHERE p.handle = ANY(handles) OR p.series_id = ANY(wanted);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN NEXT;
    store := 'series';
    DELETE FROM vv.series s WHERE s.series_id = ANY(wanted);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN NEXT;
    store := 'quarantine';
    DELETE FROM vv.quarantine q WHERE q.agent = ANY(gateways);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN NEXT;
END
$$;

-- The relations whose files must be written anew, so that not even free space keeps what they held.
CREATE FUNCTION vv.relations_of(wanted integer[]) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    found_oids oid[] := '{}';
    here oid[];
BEGIN
    FOR part IN SELECT 'vv.observations' AS place
        UNION ALL SELECT t.place FROM vv.aggregate_tables() t LOOP
        EXECUTE format(
            'SELECT array_agg(DISTINCT tableoid) FROM %s WHERE series_id = ANY($1)', part.place)
            INTO here USING wanted;
        found_oids := found_oids || coalesce(here, '{}');
    END LOOP;
    RETURN QUERY SELECT o::regclass::text FROM unnest(found_oids) o;
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN QUERY EXECUTE
            'SELECT format(''%I.%I'', k.schema_name, k.table_name)
            FROM _timescaledb_catalog.chunk c
            JOIN _timescaledb_catalog.chunk k ON k.id = c.compressed_chunk_id
            WHERE format(''%I.%I'', c.schema_name, c.table_name)::regclass = ANY($1)'
            USING found_oids;
    END IF;
END
$$;

-- Retention of one purpose: raw rows and aggregates each have their own end.
CREATE FUNCTION vv.retain(of_purpose text, raw_from timestamptz, aggregates_from timestamptz)
RETURNS TABLE (store text, row_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted integer[];
    part record;
BEGIN
    SELECT coalesce(array_agg(series_id), '{}') INTO wanted FROM vv.series
    WHERE purpose = of_purpose;
    FOR part IN SELECT 'observations' AS store, 'vv.observations' AS place, 'time' AS at,
            raw_from AS since
        UNION ALL SELECT t.store, t.place, 'bucket', aggregates_from FROM vv.aggregate_tables() t
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

-- Drops whole partitions that end at or before *until*; returns how many.
CREATE FUNCTION vv.drop_partitions(until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET lock_timeout = '3s' AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
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

CREATE VIEW vv.ops_erasures WITH (security_barrier) AS
SELECT date_trunc('day', erased_at, 'UTC') AS bucket, count(*) AS erasures
FROM vv.erasures GROUP BY 1;
GRANT SELECT ON vv.ops_erasures TO vv_reader, vv_grafana;

DO $$
DECLARE
    routine text;
BEGIN
    FOREACH routine IN ARRAY ARRAY[
        'clear_erasures(bigint[])', 'count_series(integer[])', 'erase_series(integer[])',
        'erase_keys(bytea[], integer[], text[])', 'relations_of(integer[])',
        'retain(text, timestamptz, timestamptz)', 'drop_partitions(timestamptz)', 'is_cleared()'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION vv.%s FROM PUBLIC', routine);
        EXECUTE format('GRANT EXECUTE ON FUNCTION vv.%s TO vv_trust', routine);
    END LOOP;
    REVOKE ALL ON FUNCTION vv.aggregate_tables() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION vv.is_cleared() TO vv_ingest;
END
$$;
GRANT SELECT, INSERT ON vv.erasures TO vv_trust;
GRANT UPDATE (restricted_at) ON vv.series TO vv_trust;
RESET ROLE;

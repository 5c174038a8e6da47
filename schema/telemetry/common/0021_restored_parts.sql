SET ROLE vv_owner;

-- Every table that may hold somebody's series, wherever it hangs: partitions and chunks, aggregates,
-- and also one that was detached, or restored beside the others. A table whose file or count of
-- inserted rows is the same as at the last look holds the same rows. One of another owner is told and
-- not touched: its triggers would run with the rights of this function.
CREATE FUNCTION vv.series_tables()
RETURNS TABLE (place text, file oid, inserted bigint, is_ours boolean, is_attached boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%I.%I', n.nspname, c.relname), pg_relation_filenode(c.oid),
        pg_stat_get_tuples_inserted(c.oid), pg_get_userbyid(c.relowner) = current_user,
        n.nspname LIKE '\_timescaledb%' OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
            OR EXISTS (SELECT FROM vv.aggregate_tables() t WHERE to_regclass(t.place) = c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'series_id'
        AND a.atttypid = 'integer'::regtype AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
        AND c.oid NOT IN ('vv.series'::regclass, 'vv.permissions'::regclass,
            'vv.permission_periods'::regclass, 'vv.observations'::regclass)
        AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
$$;

-- The series that rows of *place*, one of those tables, are of, and that vv.series does not have.
CREATE FUNCTION vv.unknown_series(place text) RETURNS SETOF integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text := (SELECT t.place FROM vv.series_tables() t
        WHERE t.place = unknown_series.place AND t.is_ours);
BEGIN
    IF wanted IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT s FROM (SELECT DISTINCT series_id FROM %s) t (s)
            WHERE NOT EXISTS (SELECT FROM vv.series k WHERE k.series_id = s)', wanted);
    END IF;
END
$$;

-- Takes the rows of these series out of tables that hang nowhere; vv.erase_series does the others.
-- Returns the tables that had some.
CREATE FUNCTION vv.erase_unattached(wanted integer[]) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    gone bigint;
BEGIN
    FOR part IN SELECT t.place FROM vv.series_tables() t
        WHERE t.is_ours AND NOT t.is_attached LOOP
        EXECUTE format('DELETE FROM %s WHERE series_id = ANY($1)', part.place) USING wanted;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN
            RETURN NEXT part.place;
        END IF;
    END LOOP;
END
$$;

-- What tells that names may have come back: files and counts of the tables that lead to people, and
-- the start of the server.
CREATE FUNCTION vv.names_state() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()),
        pg_relation_filenode('vv.series'::regclass), pg_relation_filenode('vv.permissions'::regclass),
        pg_relation_filenode('vv.permission_periods'::regclass),
        pg_stat_get_tuples_inserted('vv.series'::regclass),
        pg_stat_get_tuples_inserted('vv.permission_periods'::regclass))
$$;

DO $$
DECLARE
    routine text;
BEGIN
    FOREACH routine IN ARRAY ARRAY['series_tables()', 'unknown_series(text)',
        'erase_unattached(integer[])', 'names_state()'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION vv.%s FROM PUBLIC', routine);
        EXECUTE format('GRANT EXECUTE ON FUNCTION vv.%s TO vv_trust', routine);
    END LOOP;
END
$$;
RESET ROLE;

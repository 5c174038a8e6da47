SET ROLE vv_owner;

-- Every table that may hold somebody's series, as before; and also parents that hold rows of their own
-- besides those of what inherits from them. One of another owner, or one whose rows are on another
-- server, is told and not touched. A materialized view that was never filled holds nothing.
-- Attached is what hangs on the observations or the aggregates themselves, and not on a copy of them.
CREATE OR REPLACE FUNCTION vv.series_tables()
RETURNS TABLE (place text, file oid, inserted bigint, is_ours boolean, is_attached boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH ours AS (
        SELECT 'vv.observations'::regclass::oid AS whole
        UNION SELECT to_regclass(t.place)::oid FROM vv.aggregate_tables() t)
    SELECT format('%I.%I', n.nspname, c.relname), coalesce(pg_relation_filenode(c.oid), 0::oid),
        coalesce(pg_stat_get_tuples_inserted(c.oid), 0),
        pg_get_userbyid(c.relowner) = current_user AND c.relkind <> 'f',
        c.oid IN (SELECT whole FROM ours)
            OR coalesce(pg_partition_root(c.oid) IN (SELECT whole FROM ours), false)
            OR EXISTS (SELECT FROM pg_inherits i
                WHERE i.inhrelid = c.oid AND i.inhparent IN (SELECT whole FROM ours))
            -- The compressed half of a chunk inherits from nothing.
            OR n.nspname LIKE '\_timescaledb%' AND c.relname LIKE 'compress\_%'
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'series_id'
        AND a.atttypid = 'integer'::regtype AND NOT a.attisdropped
    WHERE (c.relkind IN ('r', 'f') OR c.relkind = 'm' AND c.relispopulated)
        AND c.relpersistence <> 't'
        AND c.oid NOT IN ('vv.series'::regclass, 'vv.permissions'::regclass,
            'vv.permission_periods'::regclass, 'vv.observations'::regclass)
        AND NOT (n.nspname LIKE '\_timescaledb%'
            AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid))
$$;

-- The rows of *place* itself: those of what inherits from it are listed under their own names.
CREATE FUNCTION vv.rows_of(place text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = place::regclass)
        THEN 'ONLY ' ELSE '' END || place
$$;

CREATE OR REPLACE FUNCTION vv.unknown_series(place text) RETURNS SETOF integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text := (SELECT t.place FROM vv.series_tables() t
        WHERE t.place = unknown_series.place AND t.is_ours);
BEGIN
    IF wanted IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT s FROM (SELECT DISTINCT series_id FROM %s) t (s)
            WHERE NOT EXISTS (SELECT FROM vv.series k WHERE k.series_id = s)', vv.rows_of(wanted));
    END IF;
END
$$;

-- Whether *place* has exactly the columns of the observations or of an aggregate, by name and type:
-- a partition that was detached, or a table that was restored or copied beside the others. What has
-- other columns is somebody's own table, and perhaps the only one of its kind.
CREATE FUNCTION vv.is_part_of_ours(place text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH columns AS (
        SELECT attrelid, array_agg(attname || ' ' || atttypid ORDER BY attname) AS found
        FROM pg_attribute
        WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (
            SELECT is_part_of_ours.place::regclass::oid
            UNION SELECT to_regclass(w.whole)::oid FROM (
                SELECT unnest('{vv.observations,vv.aggregates_1m,vv.aggregates_1h,vv.aggregates_1d}'::text[])
                UNION SELECT t.place FROM vv.aggregate_tables() t) w (whole))
        GROUP BY attrelid)
    SELECT EXISTS (SELECT FROM columns mine JOIN columns theirs USING (found)
        WHERE mine.attrelid = is_part_of_ours.place::regclass AND theirs.attrelid <> mine.attrelid)
$$;

-- Takes the rows of these series out of tables that hang nowhere and are parts of ours, and has
-- materialized views calculated again; vv.erase_series does the others. Returns those that had some.
-- One that cannot be changed keeps no other waiting: what it holds is found at the next look.
CREATE OR REPLACE FUNCTION vv.erase_unattached(wanted integer[]) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    gone bigint;
    has_some boolean;
BEGIN
    -- Views last: they are calculated from what is left.
    FOR part IN
        SELECT t.place, c.relkind = 'm' AS is_view
        FROM vv.series_tables() t JOIN pg_class c ON c.oid = t.place::regclass
        WHERE t.is_ours AND NOT t.is_attached
        ORDER BY is_view, c.oid LOOP
        BEGIN
            IF part.is_view THEN
                EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE series_id = ANY($1))', part.place)
                    INTO has_some USING wanted;
                IF has_some THEN
                    EXECUTE format('REFRESH MATERIALIZED VIEW %s', part.place);
                    RETURN NEXT part.place;
                END IF;
            ELSIF vv.is_part_of_ours(part.place) THEN
                EXECUTE format('DELETE FROM %s WHERE series_id = ANY($1)', vv.rows_of(part.place))
                    USING wanted;
                GET DIAGNOSTICS gone = ROW_COUNT;
                IF gone > 0 THEN
                    RETURN NEXT part.place;
                END IF;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'a restored part could not be changed (%)', SQLSTATE;
        END;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION vv.rows_of(text), vv.is_part_of_ours(text) FROM PUBLIC;
RESET ROLE;

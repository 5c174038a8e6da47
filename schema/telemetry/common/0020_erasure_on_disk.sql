-- Before files are rewritten, the owner sees whether a query left something beside the tables.
DO $$
BEGIN
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_tmpdir() TO vv_owner;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'vv_owner may not see temporary files';
END
$$;
SET ROLE vv_owner;

-- What a clearance is bound to is compared for equality: no clock decides whether it holds.
COMMENT ON COLUMN vv.permission_gate.cleared_at IS
    'start of the server that trust cleared: pg_postmaster_start_time() then';
ALTER TABLE vv.permission_gate ADD COLUMN cleared_files text[];
COMMENT ON COLUMN vv.permission_gate.cleared_files IS
    'paths of this table and of vv.erasures then, with the database: a restore makes others';

-- NULL where trust never came: such a database has no permissions of trust's, either. Each flush asks
-- this, so its plan is kept: a function in SQL is planned at each call.
CREATE OR REPLACE FUNCTION vv.is_cleared() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT cleared_at = pg_postmaster_start_time()
        AND cleared_timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8)
        AND cleared_table = 'vv.permission_gate'::regclass
        AND cleared_files = ARRAY[
            pg_relation_filepath('vv.permission_gate'::regclass),
            pg_relation_filepath('vv.erasures'::regclass)]
        FROM vv.permission_gate);
END
$$;

-- As before; and the clearance is bound to the start of the server itself, not to a later time.
CREATE OR REPLACE FUNCTION vv.clear_erasures(ledger bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    missing bigint[];
    new_epoch bigint;
BEGIN
    SELECT array_agg(n ORDER BY n) INTO missing FROM unnest(ledger) n
    WHERE NOT EXISTS (SELECT FROM vv.erasures WHERE number = n);
    IF missing IS NULL AND vv.is_cleared() IS NOT TRUE THEN
        SELECT greatest(epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
        INTO new_epoch FROM vv.permission_gate FOR UPDATE;
        UPDATE vv.permission_gate SET cleared_at = pg_postmaster_start_time(),
            cleared_timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8),
            cleared_database = (SELECT oid FROM pg_database WHERE datname = current_database()),
            cleared_table = 'vv.permission_gate'::regclass,
            cleared_files = ARRAY[pg_relation_filepath('vv.permission_gate'::regclass),
                pg_relation_filepath('vv.erasures'::regclass)],
            epoch = new_epoch, forgotten_epoch = new_epoch;
    END IF;
    RETURN coalesce(missing, '{}');
END
$$;
RESET ROLE;

SET ROLE vv_owner;

-- A withdrawal in two steps, so that nobody who stores has to wait for it. First the permission is
-- closed: its `withdrawn_at` is infinity, and whoever begins to store from then on refuses it. Once
-- those have ended who had begun before, it is withdrawn. (docs/decisions/0003)
COMMENT ON COLUMN vv.permissions.withdrawn_at IS
    'infinity: closed, nothing more is admitted, but a flush that began before may still commit';

-- Begins a change that takes nothing away but what is closed; whoever stores goes on. Returns the
-- epoch to write into changed_epoch. Of such changes one commits after the other.
CREATE FUNCTION vv.next_epoch() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_epoch bigint;
BEGIN
    UPDATE vv.permission_gate SET epoch = epoch + 1 RETURNING epoch INTO new_epoch;
    PERFORM pg_notify('vv_permissions', new_epoch::text);
    RETURN new_epoch;
END
$$;

-- Returns once every transaction has ended that stores and had begun before. Those that begin
-- meanwhile are not waited for, and do not wait: they see what was committed before this call.
-- PostgreSQL lets nobody wait for a transaction but by a lock that later ones would queue behind, so
-- it looks again and again.
CREATE FUNCTION vv.await_storing() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    storing text[];
    pause_s double precision := 0.001;
BEGIN
    LOOP
        storing := ARRAY(
            SELECT virtualtransaction FROM pg_locks
            WHERE locktype = 'relation' AND relation = 'vv.permission_gate'::regclass
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND mode = 'RowShareLock' AND granted
                AND (storing IS NULL OR virtualtransaction = ANY(storing)));
        EXIT WHEN storing = '{}';
        PERFORM pg_sleep(pause_s);
        pause_s := least(2 * pause_s, 0.02);
    END LOOP;
END
$$;

-- Up to which epoch changes cannot be told any more: rows of permissions were deleted for good. Who
-- knows less than that must read everything, or would take for permitted what is no more.
ALTER TABLE vv.permission_gate ADD COLUMN forgotten_epoch bigint NOT NULL DEFAULT 0;

-- As before; and whoever did not see the withdrawal is told that something is missing.
CREATE OR REPLACE FUNCTION vv.erase_keys(handles bytea[], wanted integer[], gateways text[])
RETURNS TABLE (store text, row_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    store := 'permissions';
    DELETE FROM vv.permissions p WHERE p.handle = ANY(handles) OR p.series_id = ANY(wanted);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    IF row_count > 0 THEN
        UPDATE vv.permission_gate SET forgotten_epoch = epoch;
    END IF;
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

-- As before; and who knows the permissions of before must read everything anew: the server may have
-- gone back in time, or another have taken its place, and counted to the same epoch by other changes.
-- Milliseconds are more than any count of before.
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
        UPDATE vv.permission_gate SET cleared_at = clock_timestamp(),
            cleared_timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8),
            cleared_database = (SELECT oid FROM pg_database WHERE datname = current_database()),
            cleared_table = 'vv.permission_gate'::regclass,
            epoch = new_epoch, forgotten_epoch = new_epoch;
        PERFORM pg_notify('vv_permissions', new_epoch::text);
    END IF;
    RETURN coalesce(missing, '{}');
END
$$;

REVOKE ALL ON FUNCTION vv.next_epoch(), vv.await_storing() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.next_epoch(), vv.await_storing() TO vv_trust;
RESET ROLE;

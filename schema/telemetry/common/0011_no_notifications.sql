SET ROLE vv_owner;

-- A transaction that notifies fails at its COMMIT while the server's notification queue is full, and
-- any role of any database of the server can fill that. So no change of permissions notifies: ingest
-- asks for the epoch many times a second, and each flush reads it under the gate's lock.
-- (docs/decisions/0018) Programs that still LISTEN hear nothing, and read the epoch every 5 s.

-- Begins a change that takes nothing away but what is closed; transactions that store go on. Returns
-- the epoch to write into changed_epoch. Of such changes one commits after the other.
CREATE OR REPLACE FUNCTION vv.next_epoch() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_epoch bigint;
BEGIN
    UPDATE vv.permission_gate SET epoch = epoch + 1 RETURNING epoch INTO new_epoch;
    RETURN new_epoch;
END
$$;

-- Taken first by every transaction that takes away what cannot be closed. Returns the epoch to write
-- into changed_epoch.
CREATE OR REPLACE FUNCTION vv.change_permissions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_epoch bigint;
BEGIN
    LOCK TABLE vv.permission_gate IN EXCLUSIVE MODE;
    UPDATE vv.permission_gate SET epoch = epoch + 1 RETURNING epoch INTO new_epoch;
    RETURN new_epoch;
END
$$;

-- As before, without a notification.
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
    END IF;
    RETURN coalesce(missing, '{}');
END
$$;
RESET ROLE;

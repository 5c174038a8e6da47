-- Two that do the same work take turns by the lock of a row that only the owner may reach. An advisory
-- lock is anyone's: whoever may log in could hold it, and the work would not be done any more.
SET ROLE vv_owner;

CREATE TABLE vv.turns (work text PRIMARY KEY);
INSERT INTO vv.turns VALUES ('ensure_partitions'), ('roll_up'), ('publish_cohorts'),
    ('publish_operations');

-- Takes the turn of *work* until the end of the transaction; false if another has it.
CREATE FUNCTION vv.take_turn(of_work text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO vv.turns VALUES (of_work) ON CONFLICT DO NOTHING;
    PERFORM FROM vv.turns WHERE work = of_work FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- The same, and waits for it.
CREATE FUNCTION vv.await_turn(of_work text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO vv.turns VALUES (of_work) ON CONFLICT DO NOTHING;
    PERFORM FROM vv.turns WHERE work = of_work FOR UPDATE;
END
$$;
REVOKE ALL ON FUNCTION vv.take_turn(text), vv.await_turn(text) FROM PUBLIC;

-- As before, but for the lock. On TimescaleDB chunks come by themselves.
DO $do$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'vv.observations'::regclass) = 'p' THEN
        EXECUTE $sql$
CREATE OR REPLACE FUNCTION vv.ensure_partitions(first date, last date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    day date := first;
    made integer := 0;
    name text;
BEGIN
    IF last - first > 4000 THEN
        RAISE EXCEPTION 'more than 4000 partitions asked for' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Two workers that reach a new day together take turns.
    PERFORM vv.await_turn('ensure_partitions');
    WHILE day <= last LOOP
        name := 'observations_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('vv.' || name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE vv.%I PARTITION OF vv.observations FOR VALUES FROM (%L) TO (%L)',
                name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        day := day + 1;
    END LOOP;
    RETURN made;
END
$$
        $sql$;
    END IF;
END
$do$;

-- As before, but for the lock.
CREATE OR REPLACE FUNCTION vv.roll_up(now timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    changed bigint := 0;
    part record;
    reach record;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'vv.aggregates_1m'::regclass) <> 'r' THEN
        RETURN 0;
    END IF;
    IF NOT vv.take_turn('roll_up') THEN
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
RESET ROLE;

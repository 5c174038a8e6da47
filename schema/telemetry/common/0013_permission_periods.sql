SET ROLE vv_owner;

-- Every state that a permission was ever in, in the order of commits. `vv.permissions` is its head:
-- what holds now. Nobody but the owner's functions can write here, and nothing is written in place,
-- so that anybody can tell afterwards which rows had no permission when they were measured or
-- stored. Kept as long as readings under them (`vv.prune_periods`), and erased with their person.
CREATE TABLE vv.permission_periods (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch bigint NOT NULL,
    handle bytea NOT NULL,
    quantity smallint NOT NULL,
    agent text NOT NULL,
    series_id integer NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    step integer NOT NULL,
    interval_ms bigint NOT NULL,
    time_step_ms bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('permitted', 'closed', 'withdrawn')),
    transaction xid8 DEFAULT pg_current_xact_id(),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN vv.permission_periods.position IS
    'taken under the lock of the gate''s row: of two changes the one that committed first has the lower';
COMMENT ON COLUMN vv.permission_periods.state IS
    'closed: nothing more is admitted, but a flush that began before may still commit';
COMMENT ON COLUMN vv.permission_periods.transaction IS
    'null: from before periods were kept. Of this server only: a restored dump has those of another';
CREATE INDEX ON vv.permission_periods (handle, quantity, position);
CREATE INDEX ON vv.permission_periods (series_id);

-- The same of gateways.
CREATE TABLE vv.agent_periods (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch bigint NOT NULL,
    agent text NOT NULL,
    format text NOT NULL,
    revoked_at timestamptz,
    expires_at timestamptz,
    transaction xid8 DEFAULT pg_current_xact_id(),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON vv.agent_periods (agent, position);

-- When the last of a gateway's certificates ends. Written by trust; null where it has not said so.
ALTER TABLE vv.agents ADD COLUMN expires_at timestamptz;
COMMENT ON COLUMN vv.agents.expires_at IS
    'the end of its last certificate, and a time for clocks that differ: nothing of it is stored from then on';

-- What is there when periods begin to be kept. Since when it was permitted that is withdrawn by now
-- nobody has written down: its first period has epoch 0 and no beginning.
INSERT INTO vv.permission_periods (epoch, handle, quantity, agent, series_id, valid_from, valid_to,
    step, interval_ms, time_step_ms, state, transaction, recorded_at)
SELECT 0, handle, quantity, agent, series_id, valid_from, valid_to, step, interval_ms,
    time_step_ms, 'permitted', NULL, '-infinity'
FROM vv.permissions WHERE withdrawn_at IS NOT NULL ORDER BY changed_epoch;
INSERT INTO vv.permission_periods (epoch, handle, quantity, agent, series_id, valid_from, valid_to,
    step, interval_ms, time_step_ms, state, transaction, recorded_at)
SELECT changed_epoch, handle, quantity, agent, series_id, valid_from, valid_to, step, interval_ms,
    time_step_ms,
    CASE WHEN withdrawn_at IS NULL THEN 'permitted'
        WHEN withdrawn_at = 'infinity' THEN 'closed' ELSE 'withdrawn' END,
    NULL,
    CASE WHEN withdrawn_at < 'infinity' THEN withdrawn_at
        WHEN withdrawn_at IS NULL THEN '-infinity' ELSE clock_timestamp() END
FROM vv.permissions ORDER BY changed_epoch;
INSERT INTO vv.agent_periods (epoch, agent, format, revoked_at, transaction, recorded_at)
SELECT changed_epoch, agent, format, revoked_at, NULL, '-infinity'
FROM vv.agents ORDER BY changed_epoch;

-- Called once for each statement that changed rows of *permissions* or *agents*. The gate's row is
-- locked by every transaction that changes its epoch, and here by one that forgot to: so positions
-- have the order of commits. A change without the epoch of its transaction would never be read by
-- ingest, and is refused.
CREATE FUNCTION vv.note_permissions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    epoch_now bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM changed) THEN
        RETURN NULL;
    END IF;
    SELECT epoch INTO epoch_now FROM vv.permission_gate FOR UPDATE;
    IF EXISTS (SELECT FROM changed WHERE changed_epoch IS DISTINCT FROM epoch_now) THEN
        RAISE EXCEPTION 'permissions were changed without the epoch of their transaction'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Call vv.next_epoch() or vv.change_permissions() first, and write what it returns.';
    END IF;
    INSERT INTO vv.permission_periods (epoch, handle, quantity, agent, series_id, valid_from,
        valid_to, step, interval_ms, time_step_ms, state)
    SELECT epoch_now, handle, quantity, agent, series_id, valid_from, valid_to, step, interval_ms,
        time_step_ms,
        CASE WHEN withdrawn_at IS NULL THEN 'permitted'
            WHEN withdrawn_at = 'infinity' THEN 'closed' ELSE 'withdrawn' END
    FROM changed;
    RETURN NULL;
END
$$;

CREATE FUNCTION vv.note_agents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    epoch_now bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM changed) THEN
        RETURN NULL;
    END IF;
    SELECT epoch INTO epoch_now FROM vv.permission_gate FOR UPDATE;
    IF EXISTS (SELECT FROM changed WHERE changed_epoch IS DISTINCT FROM epoch_now) THEN
        RAISE EXCEPTION 'agents were changed without the epoch of their transaction'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Call vv.next_epoch() or vv.change_permissions() first, and write what it returns.';
    END IF;
    INSERT INTO vv.agent_periods (epoch, agent, format, revoked_at, expires_at)
    SELECT epoch_now, agent, format, revoked_at, expires_at FROM changed;
    RETURN NULL;
END
$$;

-- Another handle, quantity or gateway is another permission: the one before would have no end.
CREATE FUNCTION vv.refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'what a row of % is of never changes', TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

CREATE TRIGGER note_inserted AFTER INSERT ON vv.permissions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION vv.note_permissions();
CREATE TRIGGER note_updated AFTER UPDATE ON vv.permissions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION vv.note_permissions();
CREATE TRIGGER same_key BEFORE UPDATE OF handle, quantity, agent ON vv.permissions
    FOR EACH STATEMENT EXECUTE FUNCTION vv.refuse_change();
CREATE TRIGGER note_inserted AFTER INSERT ON vv.agents
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION vv.note_agents();
CREATE TRIGGER note_updated AFTER UPDATE ON vv.agents
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION vv.note_agents();
CREATE TRIGGER same_key BEFORE UPDATE OF agent ON vv.agents
    FOR EACH STATEMENT EXECUTE FUNCTION vv.refuse_change();

-- Which epoch each transaction that stores has held. With the xmin of a row it tells under which
-- permissions that row was stored. A transaction that ends without a COMMIT leaves nothing here.
CREATE TABLE vv.flushes (
    transaction xid8 PRIMARY KEY,
    epoch bigint NOT NULL,
    held_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE vv.flushes IS
    'of this server only: after a dump was restored elsewhere, ids of transactions begin again';
CREATE INDEX ON vv.flushes USING brin (held_at) WITH (pages_per_range = 16, autosummarize = on);

-- As before; and it writes down the epoch. Whoever holds again in one transaction decides again.
CREATE OR REPLACE FUNCTION vv.hold_permissions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held bigint;
BEGIN
    LOCK TABLE vv.permission_gate IN ROW SHARE MODE;
    IF NOT vv.is_cleared() THEN
        RAISE EXCEPTION 'trust has not looked at this database since it was started or restored'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Run `vitalveil trust run`, or `vitalveil trust erase replay` once.';
    END IF;
    SELECT epoch INTO held FROM vv.permission_gate;
    INSERT INTO vv.flushes (transaction, epoch) VALUES (pg_current_xact_id(), held)
    ON CONFLICT (transaction) DO UPDATE SET epoch = excluded.epoch, held_at = excluded.held_at;
    RETURN held;
END
$$;

-- For whoever holds the permissions, and has decided under a later epoch that it read meanwhile.
-- It knows more than it held, never less: what was closed by the epoch held stays refused.
CREATE FUNCTION vv.decide_under(decided bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE vv.flushes SET epoch = decided
    WHERE transaction = pg_current_xact_id() AND epoch <= decided
        AND decided <= (SELECT epoch FROM vv.permission_gate);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'that epoch is none that this transaction can have decided under'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;

-- As before; and the periods of what is erased: they would tell a handle, and where its rows were.
CREATE OR REPLACE FUNCTION vv.erase_keys(handles bytea[], wanted integer[], gateways text[])
RETURNS TABLE (store text, row_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    leading_there bytea[];
BEGIN
    leading_there := handles || ARRAY(
        SELECT p.handle FROM vv.permissions p WHERE p.series_id = ANY(wanted)
        UNION SELECT p.handle FROM vv.permission_periods p WHERE p.series_id = ANY(wanted));
    store := 'permission_periods';
    DELETE FROM vv.permission_periods p WHERE p.handle = ANY(leading_there);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN NEXT;
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

-- Takes the periods of a purpose that were over by *until*, when all readings of before are gone:
-- what was followed by another, and what was withdrawn.
CREATE FUNCTION vv.prune_periods(of_purpose text, until timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned bigint;
BEGIN
    DELETE FROM vv.permission_periods p USING vv.series s
    WHERE s.series_id = p.series_id AND s.purpose = of_purpose AND p.recorded_at < until
        AND (p.state = 'withdrawn' OR EXISTS (
            SELECT FROM vv.permission_periods n
            WHERE n.handle = p.handle AND n.quantity = p.quantity AND n.position > p.position
                AND n.recorded_at < until));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

CREATE FUNCTION vv.prune_flushes(until timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned bigint;
BEGIN
    DELETE FROM vv.flushes WHERE held_at < until;
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

REVOKE ALL ON FUNCTION vv.note_permissions(), vv.note_agents(), vv.refuse_change(),
    vv.decide_under(bigint), vv.prune_periods(text, timestamptz), vv.prune_flushes(timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.decide_under(bigint) TO vv_ingest;
GRANT EXECUTE ON FUNCTION vv.prune_periods(text, timestamptz), vv.prune_flushes(timestamptz)
    TO vv_trust;
GRANT SELECT ON vv.permission_periods, vv.agent_periods TO vv_trust;
RESET ROLE;

-- Every statement of the running ingest, by name. Parameters are psycopg's.

-- name: hold_permissions
-- Excludes every withdrawal until the end of the transaction.
SELECT vv.hold_permissions(), pg_current_xact_id()::text;

-- name: decide_under
SELECT vv.decide_under(%s);

-- name: transaction_status
SELECT pg_xact_status(%s::text::xid8);

-- name: has_written
-- Whether that transaction is the one that settled this envelope.
SELECT EXISTS (
    SELECT FROM vv.envelopes
    WHERE agent = %s AND spool_id = %b AND sequence = %s AND xmin = %s::text::xid8::xid);

-- name: outlast
-- A COMMIT waits for a synchronous standby only if its transaction wrote something, an id alone is
-- not enough. What others committed before, and perhaps without that wait, is there then, too.
SELECT pg_logical_emit_message(true, 'vitalveil', '');

-- name: ensure_partitions
SELECT vv.ensure_partitions(%s::date, %s::date);

-- name: claim
-- RETURNING tells which are new; the others were settled before.
INSERT INTO vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)
SELECT * FROM unnest(
    %b::text[], %b::bytea[], %b::bigint[], %b::bytea[], %b::smallint[], %b::integer[])
ON CONFLICT DO NOTHING
RETURNING agent, spool_id, sequence;

-- name: claimed_before
SELECT e.agent, e.spool_id, e.sequence, e.digest
FROM unnest(%b::text[], %b::bytea[], %b::bigint[]) AS w (agent, spool_id, sequence)
JOIN vv.envelopes e USING (agent, spool_id, sequence);

-- name: outcomes_before
SELECT e.agent, e.spool_id, e.sequence, e.digest, e.outcome
FROM unnest(%b::text[], %b::bytea[], %b::bigint[]) AS w (agent, spool_id, sequence)
JOIN vv.envelopes e USING (agent, spool_id, sequence);

-- name: take_given_up
-- Of envelopes that open, and whose identities an operator gave up: they are stored after all.
SELECT agent, spool_id, sequence FROM vv.take_given_up(
    %b::text[], %b::bytea[], %b::bigint[], %b::bytea[], %b::smallint[], %b::integer[]);

-- name: copy_ledger
-- For what is new as far as we know: a third of the cost. One that is not new breaks it.
COPY vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)
FROM STDIN (FORMAT BINARY);

-- name: copy_observations
COPY vv.observations (time, series_id, value, flags) FROM STDIN (FORMAT BINARY);

-- name: quarantined_of_agents
SELECT agent, count(*) FROM vv.quarantine WHERE agent = ANY(%b::text[]) GROUP BY agent;

-- name: quarantine
-- RETURNING tells which were not there.
INSERT INTO vv.quarantine
    (agent, spool_id, sequence, reason, digest, payload, received_at, expires_at)
SELECT * FROM unnest(
    %b::text[], %b::bytea[], %b::bigint[], %b::text[], %b::bytea[], %b::bytea[],
    %b::timestamptz[], %b::timestamptz[])
ON CONFLICT DO NOTHING
RETURNING agent, spool_id, sequence, digest;

-- name: quarantined_before
SELECT q.agent, q.spool_id, q.sequence, q.digest
FROM unnest(%b::text[], %b::bytea[], %b::bigint[]) AS w (agent, spool_id, sequence)
JOIN vv.quarantine q USING (agent, spool_id, sequence);

-- name: purge_quarantine
DELETE FROM vv.quarantine WHERE expires_at < now();

-- name: mark_spools
INSERT INTO vv.spools (agent, spool_id, through)
SELECT * FROM unnest(%b::text[], %b::bytea[], %b::bigint[])
ON CONFLICT (agent, spool_id) DO UPDATE SET through = greatest(vv.spools.through, excluded.through);

-- name: read_spools
-- A row for each settled run above `through`; one without a run for a spool that has none. What an
-- operator gave up (outcome 3) is settled when its agent sends it again: it may be a forgery of an
-- envelope that the agent has never sent. Of a spool with holes the highest rows are read, more than
-- are remembered; what is below is asked of the ledger when it comes again.
WITH wanted AS (
    SELECT w.agent, w.spool_id, coalesce(s.through, 0) AS through
    FROM unnest(%b::text[], %b::bytea[]) AS w (agent, spool_id)
    LEFT JOIN vv.spools s USING (agent, spool_id)
), above AS (
    SELECT agent, spool_id, e.sequence,
        e.sequence - row_number() OVER (PARTITION BY agent, spool_id ORDER BY e.sequence) AS run
    FROM wanted w CROSS JOIN LATERAL (
        SELECT l.sequence FROM vv.envelopes l
        WHERE l.agent = w.agent AND l.spool_id = w.spool_id AND l.sequence > w.through
            AND l.outcome <> 3
        ORDER BY l.sequence DESC LIMIT 20000
    ) e
), runs AS (
    SELECT agent, spool_id, min(sequence) AS first, max(sequence) AS last
    FROM above GROUP BY agent, spool_id, run
)
SELECT agent, spool_id, through, first, last FROM wanted LEFT JOIN runs USING (agent, spool_id)
ORDER BY agent, spool_id, first;

-- name: epoch
-- Asked many times a second by each process.
SELECT epoch FROM vv.permission_gate;

-- name: is_cleared
SELECT vv.is_cleared() IS NOT FALSE;

-- name: changes
-- All in one statement, so that it is one state of them: first the epoch, and up to which one
-- changes have been forgotten. Packed into one value of fixed length a row, as the types in
-- `ingest.admission.permissions` read it: a million rows are an array then, and never a million objects.
-- 253402300800000 is the year 10000: no end.
SELECT 'gate', int8send(epoch) || int8send(forgotten_epoch) FROM vv.permission_gate
UNION ALL
SELECT 'agents', decode(agent, 'hex') || CASE
    WHEN revoked_at IS NOT NULL THEN '\x03'::bytea
    WHEN format = 'json' THEN '\x02'::bytea
    ELSE '\x01'::bytea END
    || int8send(CASE WHEN isfinite(expires_at)
        THEN floor(extract(epoch FROM expires_at) * 1000)::bigint ELSE 253402300800000 END)
    || coalesce(lease_key, decode(repeat('00', 32), 'hex'))
FROM vv.agents WHERE changed_epoch > %(since)s
UNION ALL
SELECT 'leases', decode(agent, 'hex') || int8send(version)
    || int8send(ceil(extract(epoch FROM issued_at) * 1000)::bigint)
    || int8send(ceil(extract(epoch FROM not_after) * 1000)::bigint)
FROM vv.leases WHERE changed_epoch > %(since)s
UNION ALL
SELECT 'permissions', handle || int2send(quantity) || decode(agent, 'hex') || int4send(series_id)
    || int8send(CASE WHEN isfinite(valid_from)
        THEN ceil(extract(epoch FROM valid_from) * 1000)::bigint ELSE 0 END)
    || int8send(CASE WHEN isfinite(valid_to)
        THEN ceil(extract(epoch FROM valid_to) * 1000)::bigint ELSE 253402300800000 END)
    || boolsend(withdrawn_at IS NOT NULL)
    || int4send(step) || int8send(interval_ms) || int8send(time_step_ms)
FROM vv.permissions WHERE changed_epoch > %(since)s;

-- name: watch
-- What an operator wants to know beside the work. The ledger is large: an estimate is enough.
SELECT pg_database_size(current_database()),
    (SELECT greatest(coalesce(sum(c.reltuples), 0), 0) FROM pg_catalog.pg_class c
        WHERE c.oid = to_regclass('vv.envelopes')
            OR c.oid IN (SELECT i.inhrelid FROM pg_catalog.pg_inherits i
                WHERE i.inhparent = to_regclass('vv.envelopes'))),
    (SELECT count(*) FROM vv.quarantine),
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)
        FROM vv.quarantine),
    (SELECT epoch FROM vv.permission_gate),
    extract(epoch FROM clock_timestamp());

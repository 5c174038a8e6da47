-- All statements of the running process, by name, with psycopg's placeholders. The comment below a
-- name says what the statement returns or changes.

-- name: hold_permissions
-- Excludes withdrawals until the transaction ends. Returns the epoch and the transaction id.
SELECT vv.hold_permissions(), pg_current_xact_id()::text;

-- name: decide_under
-- Records that this transaction decides under the given epoch.
SELECT vv.decide_under(%s);

-- name: transaction_status
-- Returns committed, aborted, in progress, or NULL if the server has forgotten the transaction.
SELECT pg_xact_status(%s::text::xid8);

-- name: has_written
-- Returns whether the given transaction settled the given envelope.
SELECT EXISTS (
    SELECT FROM vv.envelopes
    WHERE agent = %s AND spool_id = %b AND sequence = %s AND xmin = %s::text::xid8::xid);

-- name: outlast
-- Writes a WAL record, so that the COMMIT waits for the synchronous standby (a transaction id alone
-- is not enough). Commits of other transactions before it are then on the standby as well.
SELECT pg_logical_emit_message(true, 'vitalveil', '');

-- name: ensure_partitions
-- Creates the partitions of vv.observations from the first day to the last.
SELECT vv.ensure_partitions(%s::date, %s::date);

-- name: claim
-- Writes the given envelopes into the ledger. Returns the new ones; the others were settled before.
INSERT INTO vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)
SELECT * FROM unnest(
    %b::text[], %b::bytea[], %b::bigint[], %b::bytea[], %b::smallint[], %b::integer[])
ON CONFLICT DO NOTHING
RETURNING agent, spool_id, sequence;

-- name: claimed_before
-- Returns those of the given envelopes that the ledger has, each with its digest.
SELECT e.agent, e.spool_id, e.sequence, e.digest
FROM unnest(%b::text[], %b::bytea[], %b::bigint[]) AS w (agent, spool_id, sequence)
JOIN vv.envelopes e USING (agent, spool_id, sequence);

-- name: outcomes_before
-- Returns those of the given envelopes that the ledger has, each with its digest, outcome and number
-- of observations.
SELECT e.agent, e.spool_id, e.sequence, e.digest, e.outcome, e.observations
FROM unnest(%b::text[], %b::bytea[], %b::bigint[]) AS w (agent, spool_id, sequence)
JOIN vv.envelopes e USING (agent, spool_id, sequence);

-- name: take_given_up
-- Settles envelopes that now open, and whose identities an operator had given up. Returns them.
SELECT agent, spool_id, sequence FROM vv.take_given_up(
    %b::text[], %b::bytea[], %b::bigint[], %b::bytea[], %b::smallint[], %b::integer[]);

-- name: copy_ledger
-- Writes envelopes that are known to be new into the ledger, at a third of the cost of INSERT. Fails
-- if one of them is not new.
COPY vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)
FROM STDIN (FORMAT BINARY);

-- name: copy_observations
-- Writes observations.
COPY vv.observations (time, series_id, value, flags) FROM STDIN (FORMAT BINARY);

-- name: quarantined_of_agents
-- Returns the number of envelopes in quarantine for each of the given agents that has any.
SELECT agent, count(*) FROM vv.quarantine WHERE agent = ANY(%b::text[]) GROUP BY agent;

-- name: quarantine
-- Writes the given envelopes into quarantine. Returns those that were not there before.
INSERT INTO vv.quarantine
    (agent, spool_id, sequence, reason, digest, payload, received_at, expires_at)
SELECT * FROM unnest(
    %b::text[], %b::bytea[], %b::bigint[], %b::text[], %b::bytea[], %b::bytea[],
    %b::timestamptz[], %b::timestamptz[])
ON CONFLICT DO NOTHING
RETURNING agent, spool_id, sequence, digest;

-- name: quarantined_before
-- Returns those of the given envelopes that are in quarantine, each with its digest.
SELECT q.agent, q.spool_id, q.sequence, q.digest
FROM unnest(%b::text[], %b::bytea[], %b::bigint[]) AS w (agent, spool_id, sequence)
JOIN vv.quarantine q USING (agent, spool_id, sequence);

-- name: purge_quarantine
-- Deletes expired envelopes from quarantine.
DELETE FROM vv.quarantine WHERE expires_at < now();

-- name: mark_spools
-- Raises the watermarks of the given spools.
INSERT INTO vv.spools (agent, spool_id, through)
SELECT * FROM unnest(%b::text[], %b::bytea[], %b::bigint[])
ON CONFLICT (agent, spool_id) DO UPDATE SET through = greatest(vv.spools.through, excluded.through);

-- name: read_spools
-- Returns a row for each settled run above the watermark `through`, or one row without a run. An
-- envelope that an operator gave up (outcome 3) does not count until its agent sends it again: it may
-- be a forgery of an envelope that the agent has never sent. Versions before 0.2 stored sequences from
-- 2^62 on, which no receipt can report: they do not count either. Only the highest rows of a spool are
-- read, more than ingest remembers; if a sequence below arrives again, the ledger decides.
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
            AND l.sequence < 1::bigint << 62 AND l.outcome <> 3
        ORDER BY l.sequence DESC LIMIT 20000
    ) e
), runs AS (
    SELECT agent, spool_id, min(sequence) AS first, max(sequence) AS last
    FROM above GROUP BY agent, spool_id, run
)
SELECT agent, spool_id, through, first, last FROM wanted LEFT JOIN runs USING (agent, spool_id)
ORDER BY agent, spool_id, first;

-- name: epoch
-- Returns the epoch of the permissions. Each process runs this many times a second.
SELECT epoch FROM vv.permission_gate;

-- name: is_cleared
-- Returns whether trust has cleared this database since it was started or restored.
SELECT vv.is_cleared() IS NOT FALSE;

-- name: changes
-- Returns the permissions that changed after the epoch `since`, in one statement, so that all rows
-- are of one state. The first row has the epoch and the epoch up to which changes were deleted. Each
-- row is packed into one value of fixed length, as the types in `ingest.admission.permissions` read
-- it, so that a million rows become an array instead of a million objects. 253402300800000 ms is the
-- year 10000 and stands for no end.
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
    || int4send(step) || int8send(interval_ms) || int8send(time_step_ms) || int8send(source)
    || int8send(CASE WHEN isfinite(measured_to)
        THEN ceil(extract(epoch FROM measured_to) * 1000)::bigint ELSE 253402300800000 END)
FROM vv.permissions WHERE changed_epoch > %(since)s;

-- name: watch
-- Returns the size of the database, the estimated number of envelopes in the ledger, the number of
-- envelopes in quarantine, the age of the oldest of them in seconds, the epoch, and the server's time.
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

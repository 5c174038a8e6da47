-- The statements of `vitalveil ingest quarantine`. They run as the owner of the tables, because the
-- role of ingest may not change the ledger.

-- name: summary
-- Returns, for each reason, the number of envelopes and agents, the oldest arrival, the first expiry.
SELECT reason, count(*), count(DISTINCT agent), min(received_at), min(expires_at)
FROM vv.quarantine GROUP BY reason ORDER BY reason;

-- name: take
-- Returns and locks the next envelopes in quarantine. Conflicts are left out, because their
-- identities were settled with other bytes, unless an operator had given up those.
SELECT q.quarantine_id, q.agent, q.payload, q.digest, q.received_at
FROM vv.quarantine q LEFT JOIN vv.envelopes e USING (agent, spool_id, sequence)
WHERE q.quarantine_id > %s AND (q.reason IN ('bad_seal', 'poison') OR e.outcome = 3)
ORDER BY q.quarantine_id LIMIT %s FOR UPDATE OF q;

-- name: settle
-- Writes the given envelopes into the ledger. Returns those whose observations must be stored: new
-- ones, those that the ledger had as quarantined, and those that were given up. If another
-- transaction settles one of them at the same time, this one waits and leaves it to the other.
WITH wanted AS (
    SELECT * FROM unnest(
        %b::text[], %b::bytea[], %b::bigint[], %b::bytea[], %b::smallint[], %b::integer[])
        AS w (agent, spool_id, sequence, digest, outcome, observations)
), claimed AS (
    INSERT INTO vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)
    SELECT * FROM wanted ON CONFLICT DO NOTHING
    RETURNING agent, spool_id, sequence
), moved AS (
    UPDATE vv.envelopes e
    SET outcome = w.outcome, observations = w.observations, digest = w.digest
    FROM wanted w
    WHERE (e.agent, e.spool_id, e.sequence) = (w.agent, w.spool_id, w.sequence)
        AND (e.outcome = 3 OR e.outcome = 2 AND e.digest = w.digest)
    RETURNING e.agent, e.spool_id, e.sequence
)
SELECT * FROM claimed UNION ALL SELECT * FROM moved;

-- name: settled_before
-- Returns the given rows of the quarantine that were stored or refused since with the same bytes.
SELECT q.quarantine_id
FROM vv.quarantine q JOIN vv.envelopes e USING (agent, spool_id, sequence, digest)
WHERE q.quarantine_id = ANY(%b::bigint[]) AND e.outcome IN (0, 1);

-- name: forget
-- Deletes the given rows of the quarantine.
DELETE FROM vv.quarantine WHERE quarantine_id = ANY(%b::bigint[]);

-- name: give_up
-- Settles the envelopes of an agent that no key opens (outcome 3), and deletes them from quarantine.
-- Returns how many were given up, and how many of the agent's unopened envelopes are left. The
-- gateway still has the envelope, and gets a receipt when it sends the envelope again. An envelope
-- above the highest settled sequence of its spool may be a forgery of one that is still to come, and
-- is included only with `ahead`. Given-up envelopes do not raise that highest sequence; otherwise one
-- forgery far ahead would include all below it. Sequences from 2^62 on are never given up: no receipt
-- can encode them, and every receipt of the gateway would become unreadable.
WITH heights AS (
    SELECT spool_id, max(sequence) AS highest FROM vv.envelopes
    WHERE agent = %(agent)s AND outcome <> 3 GROUP BY spool_id
), chosen AS (
    SELECT DISTINCT ON (q.spool_id, q.sequence) q.spool_id, q.sequence, q.digest
    FROM vv.quarantine q LEFT JOIN heights h USING (spool_id)
    WHERE q.agent = %(agent)s AND q.reason = 'bad_seal' AND q.sequence < 1::bigint << 62
        AND (%(ahead)s OR q.sequence <= coalesce(h.highest, 0))
    ORDER BY q.spool_id, q.sequence, q.quarantine_id
), claimed AS (
    INSERT INTO vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)
    SELECT %(agent)s, spool_id, sequence, digest, 3, 0 FROM chosen ON CONFLICT DO NOTHING
), noted AS (
    INSERT INTO vv.given_up (agent, spool_id, sequence, digest, reason)
    SELECT %(agent)s, spool_id, sequence, digest, %(reason)s FROM chosen ON CONFLICT DO NOTHING
), gone AS (
    DELETE FROM vv.quarantine q USING chosen c
    WHERE q.agent = %(agent)s AND q.reason = 'bad_seal'
        AND (q.spool_id, q.sequence) = (c.spool_id, c.sequence)
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone),
    (SELECT count(*) FROM vv.quarantine WHERE agent = %(agent)s AND reason = 'bad_seal')
        - (SELECT count(*) FROM gone);

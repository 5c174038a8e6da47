-- What `vitalveil ingest quarantine` asks, as the owner: ingest's own role may change no ledger.

-- name: summary
SELECT reason, count(*), count(DISTINCT agent), min(received_at), min(expires_at)
FROM vv.quarantine GROUP BY reason ORDER BY reason;

-- name: take
-- A conflict stays: its identity was settled with other bytes, and no key changes that; unless what
-- it was settled with is an envelope that was given up.
SELECT q.quarantine_id, q.agent, q.payload, q.digest, q.received_at
FROM vv.quarantine q LEFT JOIN vv.envelopes e USING (agent, spool_id, sequence)
WHERE q.quarantine_id > %s AND (q.reason IN ('bad_seal', 'poison') OR e.outcome = 3)
ORDER BY q.quarantine_id LIMIT %s FOR UPDATE OF q;

-- name: settle
-- RETURNING tells what is to be written: what nothing had settled, what the ledger knew as
-- quarantined, and what had been given up. Another transaction that settles one of them at this
-- moment is waited for, and then it is that one's.
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
-- Of these rows of the quarantine, what was stored or refused meanwhile with the same bytes.
SELECT q.quarantine_id
FROM vv.quarantine q JOIN vv.envelopes e USING (agent, spool_id, sequence, digest)
WHERE q.quarantine_id = ANY(%b::bigint[]) AND e.outcome IN (0, 1);

-- name: forget
DELETE FROM vv.quarantine WHERE quarantine_id = ANY(%b::bigint[]);

-- name: give_up
-- What no key opens settles nothing, so that its gateway keeps it. Given up, it is in the ledger, and
-- a receipt goes out when it is sent again. Above the last sequence that the spool has settled there
-- may be a forgery of an envelope to come: those only when they are asked for. What was given up does
-- not count as settled there: one forgery far ahead would have all below it given up. Above 2^62 there
-- is no sequence that a receipt can tell: it would make every receipt of the gateway unreadable.
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

-- What `vitalveil ingest quarantine` asks, as the owner: ingest's own role may change no ledger.

-- name: summary
SELECT reason, count(*), count(DISTINCT agent), min(received_at), min(expires_at)
FROM vv.quarantine GROUP BY reason ORDER BY reason;

-- name: take
-- A conflict stays: its identity was settled with other bytes, and no key changes that.
SELECT quarantine_id, agent, payload, digest, received_at FROM vv.quarantine
WHERE quarantine_id > %s AND reason IN ('bad_seal', 'poison')
ORDER BY quarantine_id LIMIT %s FOR UPDATE;

-- name: settle
-- RETURNING tells whose envelope was in quarantine still, by the ledger: of the others nothing is
-- written, whatever lies in quarantine.
UPDATE vv.envelopes e SET outcome = w.outcome, observations = w.observations
FROM unnest(%b::text[], %b::bytea[], %b::bigint[], %b::bytea[], %b::smallint[], %b::integer[])
    AS w (agent, spool_id, sequence, digest, outcome, observations)
WHERE (e.agent, e.spool_id, e.sequence, e.digest)
    = (w.agent, w.spool_id, w.sequence, w.digest) AND e.outcome = 2
RETURNING e.agent, e.spool_id, e.sequence;

-- name: forget
DELETE FROM vv.quarantine WHERE quarantine_id = ANY(%b::bigint[]);

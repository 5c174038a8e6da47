-- name: lock_chain
-- Keeps others from deciding for a subject and purpose until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7676))

-- name: add_decision
-- Appends a signed decision.
INSERT INTO vault.decisions
    (decision, subject, purpose, version, supersedes, document, key_id, signature)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: chain
-- Returns document and signature of each decision of a subject for a purpose, in their order.
SELECT document, signature FROM vault.decisions WHERE subject = %s AND purpose = %s
ORDER BY position

-- name: signed_of_agents
-- Returns every decision of each subject and purpose that has a live handle at one of the agents.
SELECT d.subject, d.purpose, d.document, d.signature FROM vault.decisions d
WHERE (d.subject, d.purpose) IN (
    SELECT subject, purpose FROM vault.handles WHERE agent = ANY(%s) AND ended_at IS NULL)
ORDER BY d.position

-- name: signed_of
-- Returns document and signature of every decision of a subject, purpose by purpose.
SELECT document, signature FROM vault.decisions WHERE subject = %s
ORDER BY purpose, position

-- name: recorded_at
-- Returns when each decision of a subject was recorded.
SELECT decision, recorded_at FROM vault.decisions WHERE subject = %s

-- name: references
-- Returns name and version of each purpose that a decision of a subject names.
SELECT DISTINCT purpose, version FROM vault.decisions WHERE subject = %s ORDER BY 1, 2

-- name: purposes_with_handles
-- Returns the purposes that a subject ever decided on or has a handle for.
-- Handles count as well, because decisions may be lost.
SELECT purpose FROM vault.decisions WHERE subject = %s
UNION SELECT purpose FROM vault.handles WHERE subject = %s ORDER BY purpose

-- name: restricted
-- Returns the subjects and purposes of which a decision restricts the processing.
SELECT DISTINCT subject, purpose FROM vault.decisions
WHERE position('"state":"restricted"'::bytea IN document) > 0 ORDER BY subject, purpose

-- name: last_position
-- Returns the position of the newest decision; 0 if there is none.
SELECT coalesce(max(position), 0) FROM vault.decisions

-- name: count
-- Returns how many decisions there are.
SELECT count(*) FROM vault.decisions

-- name: chain_lengths_after
-- Returns the length of each chain that has a decision after a position.
SELECT subject, purpose, count(*) FROM vault.decisions
WHERE (subject, purpose) IN (SELECT subject, purpose FROM vault.decisions WHERE position > %s)
GROUP BY subject, purpose

-- name: chain_lengths
-- Returns the chain length of the next subjects by id, for every purpose.
-- A chain without a decision has length 0: all its decisions may have been deleted.
SELECT s.subject, p.purpose,
    (SELECT count(*) FROM vault.decisions d WHERE d.subject = s.subject AND d.purpose = p.purpose)
FROM (SELECT subject FROM vault.subjects WHERE subject > %s ORDER BY subject LIMIT %s) s
CROSS JOIN (SELECT DISTINCT purpose FROM vault.purposes) p

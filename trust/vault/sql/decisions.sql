-- name: lock_chain
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7676))

-- name: add_decision
INSERT INTO vault.decisions
    (decision, subject, purpose, version, supersedes, document, key_id, signature)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: decisions
SELECT document, signature FROM vault.decisions WHERE subject = %s AND purpose = %s
ORDER BY position

-- name: decisions_of_handles
SELECT d.subject, d.purpose, d.document, d.signature FROM vault.decisions d
WHERE (d.subject, d.purpose) IN (
    SELECT subject, purpose FROM vault.handles WHERE agent = ANY(%s) AND ended_at IS NULL)
ORDER BY d.position

-- name: decisions_of_subject
SELECT purpose, document, signature FROM vault.decisions WHERE subject = %s
ORDER BY purpose, position

-- name: recorded_at
SELECT decision, recorded_at FROM vault.decisions WHERE subject = %s

-- name: references
SELECT DISTINCT purpose, version FROM vault.decisions WHERE subject = %s ORDER BY 1, 2

-- name: last_position
SELECT coalesce(max(position), 0) FROM vault.decisions

-- name: count_decisions
SELECT count(*) FROM vault.decisions

-- name: chains_after
SELECT subject, purpose, count(*) FROM vault.decisions
WHERE (subject, purpose) IN (SELECT subject, purpose FROM vault.decisions WHERE position > %s)
GROUP BY subject, purpose

-- name: chains
-- Those without a decision, too: all of them may have been deleted.
SELECT s.subject, p.purpose,
    (SELECT count(*) FROM vault.decisions d WHERE d.subject = s.subject AND d.purpose = p.purpose)
FROM (SELECT subject FROM vault.subjects WHERE subject > %s ORDER BY subject LIMIT %s) s
CROSS JOIN (SELECT DISTINCT purpose FROM vault.purposes) p

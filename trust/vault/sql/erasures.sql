-- name: find
SELECT number FROM vault.erasures e WHERE subject = %s AND purpose IS NOT DISTINCT FROM %s
  AND NOT EXISTS (SELECT FROM vault.erasure_steps s WHERE s.number = e.number AND s.step = 'certify')
ORDER BY number

-- name: begin
INSERT INTO vault.erasures (subject, purpose) VALUES (%s, %s) RETURNING number

-- name: known
SELECT number FROM vault.erasures
WHERE subject = %s AND purpose IS NOT DISTINCT FROM %s AND requested_at = %s

-- name: enter
INSERT INTO vault.erasures (number, subject, purpose, requested_at) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING

-- name: enter_again
-- Its number was given again in a vault that had gone back in time.
INSERT INTO vault.erasures (subject, purpose, requested_at) VALUES (%s, %s, %s) RETURNING number

-- name: advance_number
-- Numbers are never used twice, also when the ledger's file knows more than a restored vault.
SELECT setval(pg_get_serial_sequence('vault.erasures', 'number'),
              greatest((SELECT max(number) FROM vault.erasures), 1))

-- name: erasure
SELECT number, subject, purpose, requested_at FROM vault.erasures WHERE number = %s

-- name: marks
-- With whether its names were erased, here or in what the ledger's file was taken over from.
SELECT e.number, e.subject, e.purpose, e.requested_at, m.detail, m.signature,
    EXISTS (SELECT FROM vault.erasure_steps s
        WHERE s.number = e.number AND s.step IN ('names', 'entered'))
FROM vault.erasures e JOIN vault.erasure_steps m ON m.number = e.number AND m.step = 'mark'
ORDER BY e.number

-- name: back_identities
-- People whose identity was erased and is there again.
SELECT e.number, e.subject FROM vault.erasures e JOIN vault.subjects s USING (subject)
WHERE e.purpose IS NULL AND s.erased_at IS NULL AND EXISTS (SELECT FROM vault.erasure_steps k
    WHERE k.number = e.number AND k.step IN ('keys', 'names', 'entered'))

-- name: all_handles
SELECT handle, subject, purpose FROM vault.handles

-- name: delete_these_handles
DELETE FROM vault.handles WHERE handle = ANY(%s)

-- name: found_again
-- What was found again, by number; with whether its files were rewritten since.
SELECT f.number, f.step, f.detail, f.signature, EXISTS (SELECT FROM vault.erasure_steps d
    WHERE d.number = f.number AND d.step = replace(f.step, 'found-', 'again-'))
FROM vault.erasure_steps f WHERE f.step LIKE 'found-%%' ORDER BY f.number, f.done_at

-- name: steps
SELECT step, detail, signature, done_at FROM vault.erasure_steps WHERE number = %s ORDER BY done_at

-- name: record
INSERT INTO vault.erasure_steps (number, step, detail, key_id, signature)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: subject
SELECT erased_at, wrapped_key FROM vault.subjects WHERE subject = %s

-- name: purposes
-- By handles, too: decisions may be lost.
SELECT purpose FROM vault.decisions WHERE subject = %(subject)s
UNION SELECT purpose FROM vault.handles WHERE subject = %(subject)s ORDER BY purpose

-- name: all_purposes
SELECT DISTINCT purpose FROM vault.purposes ORDER BY purpose

-- name: handles
SELECT handle, agent, purpose, key_epoch FROM vault.handles
WHERE subject = %s AND (%s::text IS NULL OR purpose = %s)

-- name: destroy_key
UPDATE vault.subjects SET wrapped_key = '', sealed = '', erased_at = clock_timestamp()
WHERE subject = %s AND erased_at IS NULL

-- name: delete_handles
DELETE FROM vault.handles WHERE subject = %s AND (%s::text IS NULL OR purpose = %s)

-- name: lease_versions_of
SELECT agent, lease_version, published_version FROM vault.agents WHERE agent = ANY(%s)
ORDER BY agent

-- name: exports
SELECT export, file FROM vault.exports WHERE subject = %s AND deleted_at IS NULL

-- name: export_deleted
UPDATE vault.exports SET deleted_at = clock_timestamp() WHERE export = %s

-- name: newest_leases
SELECT agent, lease_version FROM vault.agents WHERE lease_version > 0 ORDER BY agent

-- name: epochs
SELECT epoch FROM vault.epochs WHERE purpose = %s ORDER BY epoch

-- name: restrictions
SELECT DISTINCT subject, purpose FROM vault.decisions
WHERE position('"state":"restricted"'::bytea IN document) > 0 ORDER BY subject, purpose

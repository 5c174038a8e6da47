-- name: find
-- Returns the erasures of a subject and scope that are not certified, the oldest first.
SELECT number FROM vault.erasures e WHERE subject = %s AND purpose IS NOT DISTINCT FROM %s
  AND NOT EXISTS (SELECT FROM vault.erasure_steps s WHERE s.number = e.number AND s.step = 'certify')
ORDER BY number

-- name: begin
-- Adds an erasure, and returns its number.
INSERT INTO vault.erasures (subject, purpose) VALUES (%s, %s) RETURNING number

-- name: known
-- Returns the number of an erasure by subject, scope and time.
SELECT number FROM vault.erasures
WHERE subject = %s AND purpose IS NOT DISTINCT FROM %s AND requested_at = %s

-- name: enter
-- Adds an erasure from the ledger's file under its number, unless that number is taken.
INSERT INTO vault.erasures (number, subject, purpose, requested_at) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING

-- name: enter_again
-- Adds an erasure from the ledger's file under a new number.
-- A vault that was restored from a backup may have given its old number to another erasure.
INSERT INTO vault.erasures (subject, purpose, requested_at) VALUES (%s, %s, %s) RETURNING number

-- name: advance_number
-- Sets the sequence of erasure numbers to the highest number in use.
-- Numbers are never used twice, also when the ledger's file has more than a restored vault.
SELECT setval(pg_get_serial_sequence('vault.erasures', 'number'),
              greatest((SELECT max(number) FROM vault.erasures), 1))

-- name: get
-- Returns an erasure.
SELECT number, subject, purpose, requested_at FROM vault.erasures WHERE number = %s

-- name: marks
-- Returns every erasure that was marked, with its signed mark, and whether its names were erased
-- in this vault or in the one that wrote the ledger's file.
SELECT e.number, e.subject, e.purpose, e.requested_at, m.detail, m.signature,
    EXISTS (SELECT FROM vault.erasure_steps s
        WHERE s.number = e.number AND s.step IN ('names', 'entered'))
FROM vault.erasures e JOIN vault.erasure_steps m ON m.number = e.number AND m.step = 'mark'
ORDER BY e.number

-- name: restored_subjects
-- Returns erasures of people whose data key was destroyed and exists again after a restore.
SELECT e.number, e.subject FROM vault.erasures e JOIN vault.subjects s USING (subject)
WHERE e.purpose IS NULL AND s.erased_at IS NULL AND EXISTS (SELECT FROM vault.erasure_steps k
    WHERE k.number = e.number AND k.step IN ('keys', 'names', 'entered'))

-- name: destroyed_subjects
-- Returns erasures of people whose data key was destroyed, without a look at the people.
SELECT e.number, e.subject FROM vault.erasures e
WHERE e.purpose IS NULL AND EXISTS (SELECT FROM vault.erasure_steps k
    WHERE k.number = e.number AND k.step IN ('keys', 'names', 'entered'))
ORDER BY e.number

-- name: found_again
-- Returns the records of data that reappeared after its erasure, and whether the database files
-- were rewritten since.
SELECT f.number, f.step, f.detail, f.signature, EXISTS (SELECT FROM vault.erasure_steps d
    WHERE d.number = f.number AND d.step = replace(f.step, 'found-', 'again-'))
FROM vault.erasure_steps f WHERE f.step LIKE 'found-%%' ORDER BY f.number, f.done_at

-- name: steps
-- Returns the completed steps of an erasure, in the order of their completion.
SELECT step, detail, signature, done_at FROM vault.erasure_steps WHERE number = %s ORDER BY done_at

-- name: record
-- Records that a step is done; an earlier record of the step is kept.
INSERT INTO vault.erasure_steps (number, step, detail, key_id, signature)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING

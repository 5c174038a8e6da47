-- name: add_representative
-- Adds a person who decides for a subject.
INSERT INTO vault.representatives
    (representative, subject, role, purposes, valid_from, valid_to, sealed, shown)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: representatives
-- Returns the present and former representatives of a subject, in the order they were added.
SELECT representative, subject, role, purposes, valid_from, valid_to, ended_at, shown
FROM vault.representatives WHERE subject = %s ORDER BY added_at

-- name: wards
-- Returns the people who have or had a guardian, and were not erased.
SELECT DISTINCT subject FROM vault.representatives JOIN vault.subjects USING (subject)
WHERE role = 'guardian' AND erased_at IS NULL ORDER BY subject

-- name: end_representative
-- Ends a mandate, unless it has ended.
UPDATE vault.representatives SET ended_at = clock_timestamp()
WHERE representative = %s AND ended_at IS NULL

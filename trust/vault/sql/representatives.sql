-- name: add_representative
INSERT INTO vault.representatives
    (representative, subject, role, purposes, valid_from, valid_to, sealed, shown)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: representatives
SELECT representative, subject, role, purposes, valid_from, valid_to, ended_at, shown
FROM vault.representatives WHERE subject = %s ORDER BY added_at

-- name: wards
-- Whoever has or had a guardian here.
SELECT DISTINCT subject FROM vault.representatives JOIN vault.subjects USING (subject)
WHERE role = 'guardian' AND erased_at IS NULL ORDER BY subject

-- name: end_representative
UPDATE vault.representatives SET ended_at = clock_timestamp()
WHERE representative = %s AND ended_at IS NULL

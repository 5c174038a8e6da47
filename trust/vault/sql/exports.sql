-- name: add
-- Adds a file that holds a person's data.
INSERT INTO vault.exports (export, subject, request, file, sha256, observations, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: expired
-- Returns the files that have expired and are not deleted yet.
SELECT export, file FROM vault.exports WHERE deleted_at IS NULL AND expires_at <= %s
ORDER BY expires_at

-- name: of_subject
-- Returns the files of a person that are not deleted yet.
SELECT export, file FROM vault.exports WHERE subject = %s AND deleted_at IS NULL

-- name: mark_deleted
-- Marks a file as deleted.
UPDATE vault.exports SET deleted_at = clock_timestamp() WHERE export = %s

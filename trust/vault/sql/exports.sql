-- name: add
-- Adds a file that holds a person's data.
INSERT INTO vault.exports (export, subject, request, file, sha256, observations, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: listed
-- Returns the files of one person or of all, also deleted ones if asked for, the oldest first.
SELECT made_at, deleted_at, export, subject, request, file, sha256, observations, expires_at
FROM vault.exports
WHERE (%s::uuid IS NULL OR subject = %s::uuid) AND (deleted_at IS NULL OR %s)
ORDER BY made_at, export

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

-- name: add_export
INSERT INTO vault.exports (export, subject, request, file, sha256, observations, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: expired_exports
SELECT export, file FROM vault.exports WHERE deleted_at IS NULL AND expires_at <= %s
ORDER BY expires_at

-- name: export_is_deleted
UPDATE vault.exports SET deleted_at = clock_timestamp() WHERE export = %s

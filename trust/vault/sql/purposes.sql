-- name: share_purpose
SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 7677))

-- name: lock_purpose
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7677))

-- name: versions
SELECT version FROM vault.purposes WHERE purpose = %s ORDER BY version DESC

-- name: add_purpose
INSERT INTO vault.purposes (purpose, version, document, digest, key_id, signature)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: purpose
SELECT document, signature FROM vault.purposes WHERE purpose = %s AND version = %s

-- name: loaded_at
SELECT loaded_at FROM vault.purposes WHERE purpose = %s AND version = %s

-- name: purposes
SELECT purpose, version FROM vault.purposes ORDER BY purpose, version

-- name: signed_purpose
SELECT document, signature FROM vault.purposes WHERE purpose = %s AND version = %s

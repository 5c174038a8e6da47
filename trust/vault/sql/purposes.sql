-- name: share_purpose
-- Waits until no rotation of the purpose's key runs; none can start until the transaction ends.
SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 7677))

-- name: lock_purpose
-- Waits until no other transaction issues handles for the purpose or rotates its key; none can
-- start until this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7677))

-- name: versions
-- Returns the versions of a purpose, the newest one first.
SELECT version FROM vault.purposes WHERE purpose = %s ORDER BY version DESC

-- name: add_purpose
-- Adds a signed version of a purpose, unless that version is there.
INSERT INTO vault.purposes (purpose, version, document, digest, key_id, signature)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: purpose
-- Returns the document and the signature of a version.
SELECT document, signature FROM vault.purposes WHERE purpose = %s AND version = %s

-- name: loaded_at
-- Returns when a version was loaded.
SELECT loaded_at FROM vault.purposes WHERE purpose = %s AND version = %s

-- name: references
-- Returns name and version of every version of every purpose.
SELECT purpose, version FROM vault.purposes ORDER BY purpose, version

-- name: names
-- Returns the name of every purpose.
SELECT DISTINCT purpose FROM vault.purposes ORDER BY purpose

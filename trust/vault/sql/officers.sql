-- name: add
-- Adds a signed officer, unless an officer has that public key.
INSERT INTO vault.officers (officer, role, public_key, key_id, signature, document)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (public_key) DO NOTHING

-- name: all
-- Returns all present and former officers, in the order they were added.
SELECT document, signature, ended_at FROM vault.officers ORDER BY added_at

-- name: end
-- Ends the office of an officer, unless it has ended.
UPDATE vault.officers SET ended_at = clock_timestamp() WHERE officer = %s AND ended_at IS NULL

-- name: add_officer
INSERT INTO vault.officers (officer, role, public_key, key_id, signature, document)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (public_key) DO NOTHING

-- name: officers
SELECT document, signature, ended_at FROM vault.officers ORDER BY added_at

-- name: end_officer
UPDATE vault.officers SET ended_at = clock_timestamp() WHERE officer = %s AND ended_at IS NULL

-- name: add_subject
INSERT INTO vault.subjects (subject, key_id, wrapped_key, sealed) VALUES (%s, %s, %s, %s)

-- name: data_key
SELECT wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL

-- name: hold_subject
SELECT wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL FOR SHARE

-- name: identity
SELECT sealed, wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL

-- name: rectify
UPDATE vault.subjects SET sealed = %s WHERE subject = %s

-- name: add_rectification
INSERT INTO vault.rectifications (subject, fields) VALUES (%s, %s)

-- name: subjects
SELECT subject, added_at FROM vault.subjects WHERE subject > %s ORDER BY subject LIMIT %s

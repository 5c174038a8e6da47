-- name: add_subject
-- Adds a person: personal details, sealed, and the wrapped data key that they are sealed with.
INSERT INTO vault.subjects (subject, key_id, wrapped_key, sealed) VALUES (%s, %s, %s, %s)

-- name: data_key
-- Returns the wrapped data key of a person who was not erased.
SELECT wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL

-- name: hold_subject
-- Returns the wrapped data key of a person who was not erased, and keeps an erasure from
-- destroying it until the transaction ends.
SELECT wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL FOR SHARE

-- name: personal_details
-- Returns the sealed personal details of a person who was not erased, and the wrapped data key.
SELECT sealed, wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL

-- name: rectify
-- Replaces the sealed personal details of a person.
UPDATE vault.subjects SET sealed = %s WHERE subject = %s

-- name: add_rectification
-- Records which fields of the personal details were corrected; their contents are not recorded.
INSERT INTO vault.rectifications (subject, fields) VALUES (%s, %s)

-- name: page
-- Returns the next people by id, also those who were erased, with when they were added.
SELECT subject, added_at FROM vault.subjects WHERE subject > %s ORDER BY subject LIMIT %s

-- name: key_state
-- Returns when the data key of a person was destroyed, or NULL, and the wrapped key.
SELECT erased_at, wrapped_key FROM vault.subjects WHERE subject = %s

-- name: destroy_key
-- Destroys the data key of a person and the data sealed with it, unless that was done before.
UPDATE vault.subjects SET wrapped_key = '', sealed = '', erased_at = clock_timestamp()
WHERE subject = %s AND erased_at IS NULL

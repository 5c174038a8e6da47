-- name: add_subject
-- Adds a person: personal details, sealed, and the wrapped data key that they are sealed with.
INSERT INTO vault.subjects (subject, key_id, wrapped_key, sealed, likeness, ins_likeness)
VALUES (%s, %s, %s, %s, %s, %s)

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
-- Replaces the sealed personal details of a person, and the digests of them.
UPDATE vault.subjects SET sealed = %s, likeness = %s, ins_likeness = %s WHERE subject = %s

-- name: details_of
-- Returns the sealed personal details of those people who were not erased, with their keys.
SELECT subject, sealed, wrapped_key FROM vault.subjects
WHERE subject = ANY(%s) AND erased_at IS NULL

-- name: search
-- Returns the next people by id of a state, added since a time, and measured for a purpose or at a
-- gateway; with the purposes and gateways of their live handles.
SELECT s.subject, s.added_at, s.erased_at,
    ARRAY(SELECT DISTINCT h.purpose FROM vault.handles h
        WHERE h.subject = s.subject AND h.ended_at IS NULL ORDER BY 1),
    ARRAY(SELECT DISTINCT h.agent FROM vault.handles h
        WHERE h.subject = s.subject AND h.ended_at IS NULL ORDER BY 1)
FROM vault.subjects s
WHERE s.subject > %s
    AND CASE %s::text
        WHEN 'all' THEN true
        WHEN 'erased' THEN s.erased_at IS NOT NULL
        WHEN 'measured' THEN EXISTS (SELECT FROM vault.handles h
            WHERE h.subject = s.subject AND h.ended_at IS NULL)
        WHEN 'not-measured' THEN s.erased_at IS NULL AND NOT EXISTS (SELECT FROM vault.handles h
            WHERE h.subject = s.subject AND h.ended_at IS NULL)
        ELSE s.erased_at IS NULL END
    AND (%s::timestamptz IS NULL OR s.added_at >= %s::timestamptz)
    AND ((%s::text IS NULL AND %s::text IS NULL) OR EXISTS (SELECT FROM vault.handles h
        WHERE h.subject = s.subject AND h.ended_at IS NULL
        AND (%s::text IS NULL OR h.purpose = %s::text)
        AND (%s::text IS NULL OR h.agent = %s::text)))
ORDER BY s.subject LIMIT %s

-- name: lock_likeness
-- Keeps others from adding a person of this likeness until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7679))

-- name: alike
-- Returns the people of a likeness who were not erased.
SELECT subject FROM vault.subjects WHERE likeness = %s AND erased_at IS NULL ORDER BY subject

-- name: same_ins
-- Returns the people with the same matricule who were not erased.
SELECT subject FROM vault.subjects WHERE ins_likeness = %s AND erased_at IS NULL ORDER BY subject

-- name: without_likeness
-- Returns some people whose likeness is not calculated yet.
SELECT subject, sealed, wrapped_key FROM vault.subjects
WHERE likeness IS NULL AND erased_at IS NULL LIMIT 1000

-- name: set_likeness
-- Records the likeness of a person.
UPDATE vault.subjects SET likeness = %s, ins_likeness = %s WHERE subject = %s

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
UPDATE vault.subjects SET wrapped_key = '', sealed = '', likeness = NULL, ins_likeness = NULL,
    erased_at = clock_timestamp()
WHERE subject = %s AND erased_at IS NULL

-- name: add_handle
-- Adds a handle, in the next epoch of its subject at its gateway.
INSERT INTO vault.handles
    (handle, subject, agent, epoch, purpose, decision, sealed_bindings, key_epoch)
SELECT %s, %s, %s, 1 + coalesce(max(epoch), 0), %s, %s, %s, %s
FROM vault.handles WHERE subject = %s AND agent = %s

-- name: unbind
-- Changes a live handle whose sensors are bound: it has no bindings any more.
UPDATE vault.handles
SET sealed_unbound = sealed_bindings, sealed_bindings = %s, unbound_at = %s
WHERE handle = %s AND ended_at IS NULL AND unbound_at IS NULL

-- name: sealed_at
-- Returns the live handles of gateways, with the wrapped data keys of their subjects.
SELECT handle, subject, agent, purpose, decision, sealed_bindings, key_epoch, wrapped_key,
    unbound_at, sealed_unbound, issued_at
FROM vault.handles JOIN vault.subjects USING (subject)
WHERE agent = ANY(%s) AND ended_at IS NULL ORDER BY agent, handle

-- name: sealed
-- Returns a live handle, with the wrapped data key of its subject.
SELECT handle, subject, agent, purpose, decision, sealed_bindings, key_epoch, wrapped_key,
    unbound_at, sealed_unbound, issued_at
FROM vault.handles JOIN vault.subjects USING (subject)
WHERE handle = %s AND ended_at IS NULL

-- name: owners_at
-- Returns whose the live handles of gateways are, without anything that is sealed.
SELECT handle, subject, agent, purpose FROM vault.handles
WHERE agent = ANY(%s) AND ended_at IS NULL ORDER BY agent, handle

-- name: live_at
-- Returns the live handles of a gateway.
SELECT handle FROM vault.handles WHERE agent = %s AND ended_at IS NULL

-- name: lease_load
-- Returns how many live handles a gateway has, and the bytes of all their sealed bindings.
SELECT count(*), coalesce(sum(octet_length(sealed_bindings)), 0) FROM vault.handles
WHERE agent = %s AND ended_at IS NULL

-- name: agents_of
-- Returns the gateways with a live handle of a subject for a purpose.
SELECT DISTINCT agent FROM vault.handles
WHERE subject = %s AND purpose = %s AND ended_at IS NULL ORDER BY agent

-- name: end_of_purpose
-- Ends the live handles of a subject for a purpose, at every gateway.
UPDATE vault.handles SET ended_at = clock_timestamp()
WHERE subject = %s AND purpose = %s AND ended_at IS NULL

-- name: end_of_purpose_at
-- Ends the live handles of a subject for a purpose at one gateway.
UPDATE vault.handles SET ended_at = clock_timestamp()
WHERE subject = %s AND purpose = %s AND agent = %s AND ended_at IS NULL

-- name: end_at
-- Ends every live handle at a gateway.
UPDATE vault.handles SET ended_at = clock_timestamp() WHERE agent = %s AND ended_at IS NULL

-- name: of_subject
-- Returns every handle of a subject, live or ended: of one purpose, or of all for NULL.
SELECT handle, agent, purpose, key_epoch FROM vault.handles
WHERE subject = %s AND (%s::text IS NULL OR purpose = %s)

-- name: all
-- Returns every handle, live or ended.
SELECT handle, subject, purpose FROM vault.handles

-- name: delete_of_subject
-- Deletes the handles of a subject: of one purpose, or of all for NULL.
DELETE FROM vault.handles WHERE subject = %s AND (%s::text IS NULL OR purpose = %s)

-- name: delete
-- Deletes handles.
DELETE FROM vault.handles WHERE handle = ANY(%s)

-- name: count_by_epoch
-- Returns how many live handles of a purpose are in each key epoch.
SELECT key_epoch, count(*) FROM vault.handles WHERE purpose = %s AND ended_at IS NULL
GROUP BY key_epoch ORDER BY key_epoch

-- name: agents_below_epoch
-- Returns gateways with a live handle of a purpose in an earlier key epoch.
SELECT DISTINCT agent FROM vault.handles
WHERE purpose = %s AND key_epoch < %s AND ended_at IS NULL ORDER BY agent LIMIT %s

-- name: move_to_epoch
-- Moves the live handles of a purpose at gateways to a later key epoch.
UPDATE vault.handles SET key_epoch = %s
WHERE purpose = %s AND agent = ANY(%s) AND key_epoch < %s AND ended_at IS NULL

-- name: subjects_of_purpose
-- Returns every subject who ever had a handle for a purpose.
SELECT DISTINCT subject FROM vault.handles WHERE purpose = %s

-- name: live_handles
SELECT handle FROM vault.handles WHERE agent = %s AND ended_at IS NULL

-- name: add_handle
INSERT INTO vault.handles
    (handle, subject, agent, epoch, purpose, decision, sealed_bindings, key_epoch)
SELECT %s, %s, %s, 1 + coalesce(max(epoch), 0), %s, %s, %s, %s
FROM vault.handles WHERE subject = %s AND agent = %s

-- name: end_handles_of_purpose
UPDATE vault.handles SET ended_at = clock_timestamp()
WHERE subject = %s AND purpose = %s AND ended_at IS NULL

-- name: end_handle_at
UPDATE vault.handles SET ended_at = clock_timestamp()
WHERE subject = %s AND purpose = %s AND agent = %s AND ended_at IS NULL

-- name: end_handles_of_agent
UPDATE vault.handles SET ended_at = clock_timestamp() WHERE agent = %s AND ended_at IS NULL

-- name: agents_of
SELECT DISTINCT agent FROM vault.handles
WHERE subject = %s AND purpose = %s AND ended_at IS NULL ORDER BY agent

-- name: handles_of_agents
SELECT handle, subject, agent, purpose, decision, sealed_bindings, key_epoch, wrapped_key
FROM vault.handles JOIN vault.subjects USING (subject)
WHERE agent = ANY(%s) AND ended_at IS NULL ORDER BY agent, handle

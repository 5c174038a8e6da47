-- name: larger_leases
SELECT agent, size FROM (
    SELECT agent, octet_length(lease) + %s AS size FROM vault.agents WHERE revoked_at IS NULL) s
WHERE size > %s ORDER BY size DESC, agent LIMIT 1000

-- name: wanted
SELECT wanted FROM vault.agents WHERE agent = %s

-- name: lease_load
SELECT count(*), coalesce(sum(octet_length(sealed_bindings)), 0) FROM vault.handles
WHERE agent = %s AND ended_at IS NULL

-- name: mark_stale
UPDATE vault.agents SET wanted = wanted + 1, wanted_at = clock_timestamp() WHERE agent = ANY(%s)

-- name: note_padded
-- Locked in the order of their names, as by everyone else.
WITH held AS (
    SELECT agent FROM vault.agents
    WHERE agent = ANY(%s) AND reads_padded_since IS NULL AND revoked_at IS NULL
      AND format = 'sealed' AND coalesce(unpadded_until <= clock_timestamp(), true)
    ORDER BY agent FOR NO KEY UPDATE)
UPDATE vault.agents a SET reads_padded_since = clock_timestamp(), wanted = wanted + 1,
    wanted_at = clock_timestamp()
FROM held WHERE a.agent = held.agent

-- name: unpad
WITH held AS (
    SELECT agent FROM vault.agents
    WHERE (%s::text IS NULL OR agent = %s) AND revoked_at IS NULL AND format = 'sealed'
    ORDER BY agent FOR NO KEY UPDATE)
UPDATE vault.agents a SET reads_padded_since = NULL, unpadded_until = clock_timestamp() + %s,
    wanted = wanted + 1, wanted_at = clock_timestamp()
FROM held WHERE a.agent = held.agent

-- name: save_applied
UPDATE vault.agents SET applied = %s WHERE agent = %s

-- name: save_lease
UPDATE vault.agents SET lease_version = %s, lease = %s, lease_not_after = %s, due_at = %s
WHERE agent = %s

-- name: supersede_leases
UPDATE vault.agents SET lease_version = greatest(lease_version, %s), wanted = wanted + 1,
    wanted_at = clock_timestamp()

-- name: unfinished
-- A gateway that failed waits for its next attempt, unless something new was decided since.
SELECT agent FROM vault.agents a
WHERE applied < wanted AND wanted_at < clock_timestamp() - %s
  AND NOT EXISTS (
    SELECT FROM vault.set_aside s
    WHERE s.work = 'lease' AND s.stands_in = a.agent AND s.kind = 'gateway'
      AND s.next_attempt_at > clock_timestamp() AND s.tried >= a.wanted)
ORDER BY wanted_at LIMIT %s

-- name: due
SELECT agent FROM vault.agents a
WHERE due_at <= %s AND NOT EXISTS (
    SELECT FROM vault.set_aside s
    WHERE s.work = 'lease' AND s.stands_in = a.agent AND s.kind = 'gateway'
      AND s.next_attempt_at > clock_timestamp())
ORDER BY due_at LIMIT %s

-- name: unpublished
SELECT agent, lease_version, lease FROM vault.agents a
WHERE lease IS NOT NULL AND published_version < lease_version AND agent <> ALL(%s)
  AND NOT EXISTS (
    SELECT FROM vault.set_aside s WHERE s.work = 'publication' AND s.stands_in = a.agent)
ORDER BY agent LIMIT %s

-- name: leases_of
SELECT agent, lease_version, lease FROM vault.agents WHERE lease IS NOT NULL AND agent = ANY(%s)

-- name: all_leases
SELECT agent, lease_version, lease FROM vault.agents a
WHERE lease IS NOT NULL AND agent > %s AND NOT EXISTS (
    SELECT FROM vault.set_aside s WHERE s.work = 'publication' AND s.stands_in = a.agent)
ORDER BY agent LIMIT %s

-- name: save_published
UPDATE vault.agents SET published_version = %s WHERE agent = %s AND published_version < %s

-- name: backlog
-- Two counts, each over its own small index.
SELECT (SELECT count(*) FROM vault.agents WHERE applied < wanted),
       (SELECT count(*) FROM vault.agents
        WHERE lease IS NOT NULL AND published_version < lease_version)

-- name: waiting
-- Which leases the broker does not have, as one number, NULL for none. Over an index of these alone.
SELECT sum(hashtextextended(agent, lease_version)) FROM vault.agents
WHERE lease IS NOT NULL AND published_version < lease_version

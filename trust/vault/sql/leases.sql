-- name: mark_stale
-- Counts a change for gateways: their lease and permissions must be computed again.
UPDATE vault.agents SET wanted = wanted + 1, wanted_at = clock_timestamp() WHERE agent = ANY(%s)

-- name: wanted
-- Returns how many changes of a gateway were counted so far.
SELECT wanted FROM vault.agents WHERE agent = %s

-- name: save_applied
-- Records the number of the last change of a gateway that the telemetry database has.
UPDATE vault.agents SET applied = %s WHERE agent = %s

-- name: save
-- Replaces the lease of a gateway, with its end and when the next one is due.
UPDATE vault.agents SET lease_version = %s, lease = %s, lease_not_after = %s, due_at = %s
WHERE agent = %s

-- name: supersede
-- Raises every lease version to a floor, and counts a change for every gateway.
UPDATE vault.agents SET lease_version = greatest(lease_version, %s), wanted = wanted + 1,
    wanted_at = clock_timestamp()

-- name: note_padded
-- Records that gateways read padded leases, and counts a change for those where that is new.
-- Rows are locked in the order of their names, as everywhere, to prevent deadlocks.
WITH held AS (
    SELECT agent FROM vault.agents
    WHERE agent = ANY(%s) AND reads_padded_since IS NULL AND revoked_at IS NULL
      AND format = 'sealed' AND coalesce(unpadded_until <= clock_timestamp(), true)
    ORDER BY agent FOR NO KEY UPDATE)
UPDATE vault.agents a SET reads_padded_since = clock_timestamp(), wanted = wanted + 1,
    wanted_at = clock_timestamp()
FROM held WHERE a.agent = held.agent

-- name: unpad
-- Switches padding off for a time: for a gateway, or for all if NULL. Counts a change for each.
WITH held AS (
    SELECT agent FROM vault.agents
    WHERE (%s::text IS NULL OR agent = %s) AND revoked_at IS NULL AND format = 'sealed'
    ORDER BY agent FOR NO KEY UPDATE)
UPDATE vault.agents a SET reads_padded_since = NULL, unpadded_until = clock_timestamp() + %s,
    wanted = wanted + 1, wanted_at = clock_timestamp()
FROM held WHERE a.agent = held.agent

-- name: larger
-- Returns the gateways whose lease needs a larger packet than a limit, the largest first.
SELECT agent, size FROM (
    SELECT agent, octet_length(lease) + %s AS size FROM vault.agents WHERE revoked_at IS NULL) s
WHERE size > %s ORDER BY size DESC, agent LIMIT 1000

-- name: unfinished
-- Returns gateways whose last change is older than a time and missing in telemetry, oldest first.
-- A gateway that failed waits for its next attempt, unless a newer change was counted since.
SELECT agent FROM vault.agents a
WHERE applied < wanted AND wanted_at < clock_timestamp() - %s
  AND NOT EXISTS (
    SELECT FROM vault.set_aside s
    WHERE s.work = 'lease' AND s.stands_in = a.agent AND s.kind = 'gateway'
      AND s.next_attempt_at > clock_timestamp() AND s.tried >= a.wanted)
ORDER BY wanted_at LIMIT %s

-- name: due
-- Returns gateways whose next lease is due, the most overdue first.
SELECT agent FROM vault.agents a
WHERE due_at <= %s AND NOT EXISTS (
    SELECT FROM vault.set_aside s
    WHERE s.work = 'lease' AND s.stands_in = a.agent AND s.kind = 'gateway'
      AND s.next_attempt_at > clock_timestamp())
ORDER BY due_at LIMIT %s

-- name: unpublished
-- Returns gateways whose lease the broker lacks; not those set aside, and not some others.
-- Not the leases: one that cannot be read would hide all others.
SELECT agent FROM vault.agents a
WHERE lease IS NOT NULL AND published_version < lease_version AND agent <> ALL(%s)
  AND NOT EXISTS (
    SELECT FROM vault.set_aside s WHERE s.work = 'publication' AND s.stands_in = a.agent)
ORDER BY agent LIMIT %s

-- name: of
-- Returns the lease of each of these gateways that has one.
SELECT agent, lease_version, lease FROM vault.agents
WHERE lease IS NOT NULL AND agent = ANY(%s) ORDER BY agent

-- name: page
-- Returns the next gateways by id that have a lease; not those set aside.
SELECT agent FROM vault.agents a
WHERE lease IS NOT NULL AND agent > %s AND NOT EXISTS (
    SELECT FROM vault.set_aside s WHERE s.work = 'publication' AND s.stands_in = a.agent)
ORDER BY agent LIMIT %s

-- name: save_published
-- Records that the broker has a version of a lease; a later recorded version is kept.
UPDATE vault.agents SET published_version = %s WHERE agent = %s AND published_version < %s

-- name: backlog
-- Returns how many changes wait for the telemetry database, and how many leases for the broker.
-- Each count reads a small partial index.
SELECT (SELECT count(*) FROM vault.agents WHERE applied < wanted),
       (SELECT count(*) FROM vault.agents
        WHERE lease IS NOT NULL AND published_version < lease_version)

-- name: waiting
-- Returns a number that identifies the set of waiting leases; NULL if none waits.
-- It reads a partial index of the waiting leases alone.
SELECT sum(hashtextextended(agent, lease_version)) FROM vault.agents
WHERE lease IS NOT NULL AND published_version < lease_version

-- name: versions_of
-- Returns the versions of the newest and of the last published lease of gateways.
SELECT agent, lease_version, published_version FROM vault.agents WHERE agent = ANY(%s)
ORDER BY agent

-- name: newest_versions
-- Returns the version of the newest lease of each gateway that has one.
SELECT agent, lease_version FROM vault.agents WHERE lease_version > 0 ORDER BY agent

-- name: lock_chain
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7676))

-- name: share_purpose
SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 7677))

-- name: lock_purpose
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7677))

-- name: versions
SELECT version FROM vault.purposes WHERE purpose = %s ORDER BY version DESC

-- name: add_subject
INSERT INTO vault.subjects (subject, key_id, wrapped_key, sealed) VALUES (%s, %s, %s, %s)

-- name: data_key
SELECT wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL

-- name: hold_subject
SELECT wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL FOR SHARE

-- name: add_purpose
INSERT INTO vault.purposes (purpose, version, document, digest, key_id, signature)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: purpose
SELECT document, signature FROM vault.purposes WHERE purpose = %s AND version = %s

-- name: loaded_at
SELECT loaded_at FROM vault.purposes WHERE purpose = %s AND version = %s

-- name: purposes
SELECT purpose, version FROM vault.purposes ORDER BY purpose, version

-- name: add_decision
INSERT INTO vault.decisions
    (decision, subject, purpose, version, supersedes, document, key_id, signature)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: decisions
SELECT document, signature FROM vault.decisions WHERE subject = %s AND purpose = %s
ORDER BY position

-- name: add_agent
INSERT INTO vault.agents (agent, format, lease_key) VALUES (%s, %s, %s)

-- name: add_certificate
INSERT INTO vault.certificates (serial, agent, not_after) VALUES (%s, %s, %s)

-- name: lock_agents
SELECT agent, format, lease_key, revoked_at, wanted, applied, lease_version, due_at,
    (SELECT max(c.not_after) FROM vault.certificates c WHERE c.agent = a.agent
        AND NOT EXISTS (SELECT FROM vault.revocations r WHERE r.serial = c.serial)),
    reads_padded_since IS NOT NULL
FROM vault.agents a WHERE agent = ANY(%s) ORDER BY agent FOR NO KEY UPDATE

-- name: larger_leases
SELECT agent, size FROM (
    SELECT agent, octet_length(lease) + %s AS size FROM vault.agents WHERE revoked_at IS NULL) s
WHERE size > %s ORDER BY size DESC, agent LIMIT 1000

-- name: wanted
SELECT wanted FROM vault.agents WHERE agent = %s

-- name: hold_agents
-- No more than their names: a withdrawal needs no other column, and none may stand in its way.
SELECT agent FROM vault.agents WHERE agent = ANY(%s) ORDER BY agent FOR NO KEY UPDATE

-- name: hold_agent
SELECT format, revoked_at IS NOT NULL FROM vault.agents WHERE agent = %s FOR NO KEY UPDATE

-- name: live_handles
SELECT handle FROM vault.handles WHERE agent = %s AND ended_at IS NULL

-- name: lease_load
SELECT count(*), coalesce(sum(octet_length(sealed_bindings)), 0) FROM vault.handles
WHERE agent = %s AND ended_at IS NULL

-- name: lock_lease_key
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7678))

-- name: has_lease_key
SELECT FROM vault.agents WHERE lease_key = %s LIMIT 1

-- name: want
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

-- name: revoke_agent
UPDATE vault.agents SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE agent = %s

-- name: revoke_certificates
INSERT INTO vault.revocations (serial)
SELECT serial FROM vault.certificates WHERE agent = %s ON CONFLICT DO NOTHING

-- name: uncut
SELECT agent FROM vault.agents WHERE revoked_at IS NOT NULL AND cut_at IS NULL ORDER BY agent

-- name: note_cut
UPDATE vault.agents SET cut_at = clock_timestamp() WHERE agent = ANY(%s) AND cut_at IS NULL

-- name: owners_of_certificates
SELECT DISTINCT agent FROM vault.certificates WHERE serial = ANY(%s::numeric[]) ORDER BY agent

-- name: revocations
SELECT serial, revoked_at FROM vault.revocations ORDER BY serial

-- name: save_applied
UPDATE vault.agents SET applied = %s WHERE agent = %s

-- name: save_lease
UPDATE vault.agents SET lease_version = %s, lease = %s, lease_not_after = %s, due_at = %s
WHERE agent = %s

-- name: supersede_leases
UPDATE vault.agents SET lease_version = greatest(lease_version, %s), wanted = wanted + 1,
    wanted_at = clock_timestamp()

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

-- name: decisions_of_handles
SELECT d.subject, d.purpose, d.document, d.signature FROM vault.decisions d
WHERE (d.subject, d.purpose) IN (
    SELECT subject, purpose FROM vault.handles WHERE agent = ANY(%s) AND ended_at IS NULL)
ORDER BY d.position

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

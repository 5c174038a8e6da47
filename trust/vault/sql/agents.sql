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

-- name: hold_agents
-- No more than their names: a withdrawal needs no other column, and none may stand in its way.
SELECT agent FROM vault.agents WHERE agent = ANY(%s) ORDER BY agent FOR NO KEY UPDATE

-- name: hold_agent
SELECT format, revoked_at IS NOT NULL FROM vault.agents WHERE agent = %s FOR NO KEY UPDATE

-- name: lock_lease_key
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7678))

-- name: has_lease_key
SELECT FROM vault.agents WHERE lease_key = %s LIMIT 1

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

-- name: note_clone_sign
-- One row of each kind, however often somebody tries.
INSERT INTO vault.clone_signs AS s (agent, kind) VALUES (%s, %s)
ON CONFLICT (agent, kind) DO UPDATE
SET last_at = clock_timestamp(), times = s.times + 1, vouched_at = NULL

-- name: vouch
UPDATE vault.clone_signs SET vouched_at = clock_timestamp()
WHERE agent = %s AND vouched_at IS NULL

-- name: agents
SELECT agent, format, enrolled_at, revoked_at, lease_version, lease_not_after,
    (SELECT max(not_after) FROM vault.certificates c WHERE c.agent = a.agent),
    ARRAY(SELECT kind FROM vault.clone_signs s
        WHERE s.agent = a.agent AND s.vouched_at IS NULL ORDER BY kind),
    revoked_at IS NOT NULL AND cut_at IS NULL
FROM vault.agents a WHERE agent > %s ORDER BY agent LIMIT %s

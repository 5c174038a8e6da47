-- name: add_agent
-- Adds a gateway.
INSERT INTO vault.agents (agent, format, lease_key) VALUES (%s, %s, %s)

-- name: add_certificate
-- Adds a certificate of a gateway.
INSERT INTO vault.certificates (serial, agent, not_after) VALUES (%s, %s, %s)

-- name: lock_agents
-- Returns gateways, with the end of their last certificate that is not revoked, and locks them.
SELECT agent, format, lease_key, revoked_at, wanted, applied, lease_version, due_at,
    (SELECT max(c.not_after) FROM vault.certificates c WHERE c.agent = a.agent
        AND NOT EXISTS (SELECT FROM vault.revocations r WHERE r.serial = c.serial)),
    reads_padded_since IS NOT NULL
FROM vault.agents a WHERE agent = ANY(%s) ORDER BY agent FOR NO KEY UPDATE

-- name: hold_agents
-- Locks gateways, and returns those that exist.
-- Only their names: a withdrawal needs no other column, and a damaged column must not prevent it.
SELECT agent FROM vault.agents WHERE agent = ANY(%s) ORDER BY agent FOR NO KEY UPDATE

-- name: hold_agent
-- Locks one gateway, and returns its format and whether it is revoked.
SELECT format, revoked_at IS NOT NULL FROM vault.agents WHERE agent = %s FOR NO KEY UPDATE

-- name: lock_lease_key
-- Keeps others from adding a gateway with this lease key until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7678))

-- name: has_lease_key
-- Returns a row if a gateway has this lease key.
SELECT FROM vault.agents WHERE lease_key = %s LIMIT 1

-- name: revoke_agent
-- Marks a gateway as revoked; an earlier time stands.
UPDATE vault.agents SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE agent = %s

-- name: revoke_certificates
-- Revokes every certificate of a gateway that is not revoked yet.
INSERT INTO vault.revocations (serial)
SELECT serial FROM vault.certificates WHERE agent = %s ON CONFLICT DO NOTHING

-- name: uncut
-- Returns the revoked gateways whose connection to the broker was not ended yet.
SELECT agent FROM vault.agents WHERE revoked_at IS NOT NULL AND cut_at IS NULL ORDER BY agent

-- name: note_cut
-- Marks the connections of gateways as ended; an earlier time stands.
UPDATE vault.agents SET cut_at = clock_timestamp() WHERE agent = ANY(%s) AND cut_at IS NULL

-- name: owners_of_certificates
-- Returns the gateways that own certificates with these serial numbers.
SELECT DISTINCT agent FROM vault.certificates WHERE serial = ANY(%s::numeric[]) ORDER BY agent

-- name: revocations
-- Returns the serial number of each revoked certificate, and when it was revoked.
SELECT serial, revoked_at FROM vault.revocations ORDER BY serial

-- name: note_clone_sign
-- Counts a sign that two gateways use one identity.
-- One row for each gateway and kind, however often the sign is seen.
INSERT INTO vault.clone_signs AS s (agent, kind) VALUES (%s, %s)
ON CONFLICT (agent, kind) DO UPDATE
SET last_at = clock_timestamp(), times = s.times + 1, vouched_at = NULL

-- name: vouch
-- Marks the signs of a gateway as examined by an operator.
UPDATE vault.clone_signs SET vouched_at = clock_timestamp()
WHERE agent = %s AND vouched_at IS NULL

-- name: page
-- Returns the next gateways by id for a list, with signs of a clone and whether still connected.
SELECT agent, format, enrolled_at, revoked_at, lease_version, lease_not_after,
    (SELECT max(not_after) FROM vault.certificates c WHERE c.agent = a.agent),
    ARRAY(SELECT kind FROM vault.clone_signs s
        WHERE s.agent = a.agent AND s.vouched_at IS NULL ORDER BY kind),
    revoked_at IS NOT NULL AND cut_at IS NULL
FROM vault.agents a WHERE agent > %s ORDER BY agent LIMIT %s

-- name: exclude_storing
-- Block storing until the end of the transaction; return the new epoch of permissions.
SELECT vv.change_permissions()

-- name: next_epoch
-- Return the next epoch of permissions, without blocking ingest.
SELECT vv.next_epoch()

-- name: await_storing
-- Wait until all transactions that store and began earlier have ended.
SELECT vv.await_storing()

-- name: narrows_or_ends
-- Two values: whether the change narrows an agent or a permission; and whether the change ends a
-- whole permission, or a permission is closed and not withdrawn yet.
WITH wanted AS (
    SELECT u.*, s.series_id
    FROM unnest(%(handles)s::bytea[], %(quantities)s::smallint[], %(pseudonyms)s::bytea[],
                %(valid_from)s::timestamptz[], %(valid_to)s::timestamptz[], %(steps)s::integer[],
                %(intervals_ms)s::bigint[], %(time_steps_ms)s::bigint[], %(sources)s::bigint[],
                %(measured_to)s::timestamptz[])
        AS u (handle, quantity, pseudonym, valid_from, valid_to, step, interval_ms, time_step_ms,
              source, measured_to)
    LEFT JOIN vv.series s USING (pseudonym, quantity)
)
SELECT
    EXISTS (
        SELECT FROM unnest(%(agents)s::text[], %(formats)s::text[], %(revoked_at)s::timestamptz[],
                           %(expires_at)s::timestamptz[])
            AS u (agent, format, revoked_at, expires_at)
        JOIN vv.agents a USING (agent)
        WHERE u.format IS NOT NULL
          AND ((a.format, a.revoked_at) IS DISTINCT FROM (u.format, u.revoked_at)
            -- An end in the future narrows nothing now: ingest compares the time when it stores.
            OR u.expires_at < coalesce(a.expires_at, clock_timestamp())))
    OR EXISTS (
        SELECT FROM wanted w JOIN vv.permissions p USING (handle, quantity)
        WHERE p.withdrawn_at IS NULL
          -- Another number of the source takes nothing away: it comes with an upgrade.
          AND (p.series_id, p.valid_from, p.valid_to, p.step, p.interval_ms, p.time_step_ms,
               p.measured_to)
              IS DISTINCT FROM (w.series_id, w.valid_from, w.valid_to, w.step, w.interval_ms,
                                w.time_step_ms, w.measured_to)),
    EXISTS (
        SELECT FROM vv.permissions p
        WHERE p.agent = ANY(%(agents)s)
          AND (p.withdrawn_at = 'infinity'
               OR p.withdrawn_at IS NULL AND p.handle <> ALL(%(held)s::bytea[]) AND NOT EXISTS (
                   SELECT FROM wanted w WHERE w.handle = p.handle AND w.quantity = p.quantity)))

-- name: close_permissions
-- Close the permissions of these agents that are not wanted any more.
UPDATE vv.permissions p SET withdrawn_at = 'infinity', changed_epoch = %(epoch)s
WHERE p.agent = ANY(%(agents)s) AND p.withdrawn_at IS NULL
  AND p.handle <> ALL(%(held)s::bytea[])
  AND NOT EXISTS (
    SELECT FROM unnest(%(handles)s::bytea[], %(quantities)s::smallint[]) AS u (handle, quantity)
    WHERE u.handle = p.handle AND u.quantity = p.quantity)

-- name: write_agents
-- Insert or update the rows of agents that have a format.
INSERT INTO vv.agents (agent, format, revoked_at, expires_at, lease_key, changed_epoch)
SELECT agent, format, revoked_at, expires_at, lease_key, %(epoch)s
FROM unnest(%(agents)s::text[], %(formats)s::text[], %(revoked_at)s::timestamptz[],
            %(expires_at)s::timestamptz[], %(lease_keys)s::bytea[])
    AS u (agent, format, revoked_at, expires_at, lease_key)
WHERE format IS NOT NULL
ON CONFLICT (agent) DO UPDATE
SET format = excluded.format, revoked_at = excluded.revoked_at,
    expires_at = excluded.expires_at, lease_key = coalesce(excluded.lease_key, agents.lease_key),
    changed_epoch = excluded.changed_epoch
WHERE (agents.format, agents.revoked_at, agents.expires_at, agents.lease_key) IS DISTINCT FROM
    (excluded.format, excluded.revoked_at, excluded.expires_at,
     coalesce(excluded.lease_key, agents.lease_key))

-- name: without_lease_key
-- Agents from a release that wrote no lease keys. They are sorted by name, so that an agent whose
-- key cannot be written does not stop the others.
SELECT agent FROM vv.agents
WHERE lease_key IS NULL AND format = 'sealed' AND revoked_at IS NULL AND agent > %s
ORDER BY agent LIMIT %s

-- name: write_lease_keys
-- Write the lease keys of agents that have none.
UPDATE vv.agents a SET lease_key = u.lease_key, changed_epoch = %(epoch)s
FROM unnest(%(agents)s::text[], %(lease_keys)s::bytea[]) AS u (agent, lease_key)
WHERE a.agent = u.agent AND a.lease_key IS NULL

-- name: write_series
-- Insert the series of new pseudonyms and quantities.
INSERT INTO vv.series (pseudonym, purpose, quantity)
SELECT DISTINCT pseudonym, purpose, quantity
FROM unnest(%(pseudonyms)s::bytea[], %(purposes)s::text[], %(quantities)s::smallint[])
    AS u (pseudonym, purpose, quantity)
WHERE NOT EXISTS (SELECT FROM vv.series s
                  WHERE s.pseudonym = u.pseudonym AND s.quantity = u.quantity)
ON CONFLICT DO NOTHING

-- name: withdraw
-- Withdraw the closed permissions of these agents. Withdrawn rows are never changed again: the
-- transaction that wrote a row proves when the permission was withdrawn.
UPDATE vv.permissions p SET withdrawn_at = clock_timestamp(), changed_epoch = %(epoch)s
WHERE p.agent = ANY(%(agents)s) AND p.withdrawn_at = 'infinity'
RETURNING p.handle, p.withdrawn_at

-- name: permit
-- Insert the wanted permissions, or change those that are in force and differ.
INSERT INTO vv.permissions (handle, quantity, agent, series_id, valid_from, valid_to, step,
                            interval_ms, time_step_ms, source, measured_to, changed_epoch)
SELECT u.handle, u.quantity, u.agent, s.series_id, u.valid_from, u.valid_to, u.step,
       u.interval_ms, u.time_step_ms, u.source, u.measured_to, %(epoch)s
FROM unnest(%(handles)s::bytea[], %(quantities)s::smallint[], %(handle_agents)s::text[],
            %(pseudonyms)s::bytea[], %(valid_from)s::timestamptz[], %(valid_to)s::timestamptz[],
            %(steps)s::integer[], %(intervals_ms)s::bigint[], %(time_steps_ms)s::bigint[],
            %(sources)s::bigint[], %(measured_to)s::timestamptz[])
    AS u (handle, quantity, agent, pseudonym, valid_from, valid_to, step, interval_ms,
          time_step_ms, source, measured_to)
JOIN vv.series s USING (pseudonym, quantity)
ON CONFLICT (handle, quantity) DO UPDATE
SET series_id = excluded.series_id, valid_from = excluded.valid_from,
    valid_to = excluded.valid_to, step = excluded.step, interval_ms = excluded.interval_ms,
    time_step_ms = excluded.time_step_ms, source = excluded.source,
    measured_to = excluded.measured_to,
    changed_epoch = excluded.changed_epoch
WHERE permissions.withdrawn_at IS NULL
  AND (permissions.series_id, permissions.valid_from, permissions.valid_to, permissions.step,
       permissions.interval_ms, permissions.time_step_ms, permissions.source,
       permissions.measured_to)
      IS DISTINCT FROM (excluded.series_id, excluded.valid_from, excluded.valid_to, excluded.step,
                        excluded.interval_ms, excluded.time_step_ms, excluded.source,
                        excluded.measured_to)

-- name: write_leases
-- Insert leases; return their versions. A new version is above every version that was ever written,
-- also when the vault was restored from a backup.
INSERT INTO vv.leases (agent, version, issued_at, not_after, changed_epoch)
SELECT u.agent,
       1 + greatest(u.version, coalesce((SELECT max(l.version) FROM vv.leases l
                                         WHERE l.agent = u.agent), 0)),
       u.issued_at, u.not_after, %(epoch)s
FROM unnest(%(agents)s::text[], %(versions)s::bigint[], %(issued_at)s::timestamptz[],
            %(not_after)s::timestamptz[]) AS u (agent, version, issued_at, not_after)
RETURNING agent, version

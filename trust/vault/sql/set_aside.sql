-- name: set_aside
-- Adds a failure, or counts one more of it, and works out when to try again.
INSERT INTO vault.set_aside AS s (work, stands_in, kind, unit, cause, tried, next_attempt_at)
VALUES (%(work)s, %(stands_in)s, %(kind)s, %(unit)s, %(cause)s, %(tried)s,
    clock_timestamp() + %(first)s)
ON CONFLICT (work, stands_in, kind, unit) DO UPDATE
SET failures = s.failures + 1, cause = excluded.cause, failed_at = clock_timestamp(),
    tried = excluded.tried,
    next_attempt_at = clock_timestamp()
        + (%(waits)s::interval[])[least(s.failures + 1, cardinality(%(waits)s::interval[]))]

-- name: keep_only
-- Deletes what did not fail this time of what was tried.
DELETE FROM vault.set_aside s
WHERE s.work = %(work)s AND s.stands_in = ANY(%(tried)s) AND NOT EXISTS (
    SELECT FROM unnest(%(kept)s::text[], %(kinds)s::text[], %(units)s::text[])
        AS k (stands_in, kind, unit)
    WHERE (k.stands_in, k.kind, k.unit) = (s.stands_in, s.kind, s.unit))

-- name: of_agents
-- Returns what failed last for gateways.
SELECT stands_in, kind, unit, cause FROM vault.set_aside WHERE work = %s AND stands_in = ANY(%s)

-- name: all
-- Returns what is set aside, for a list.
SELECT work, stands_in, kind, unit, cause, failures, failed_since, next_attempt_at
FROM vault.set_aside ORDER BY kind, unit, work, stands_in LIMIT %s

-- name: hasten
-- Has everything that is set aside tried again at once.
UPDATE vault.set_aside SET next_attempt_at = clock_timestamp(), failures = 1

-- name: to_retry
-- Returns gateways for which something is to be worked out again now.
SELECT DISTINCT a.agent FROM vault.set_aside s JOIN vault.agents a ON a.agent = s.stands_in
WHERE s.work = 'lease' AND s.next_attempt_at <= clock_timestamp() LIMIT %s

-- name: to_publish_again
-- Returns gateways whose lease is to be published again now.
SELECT stands_in FROM vault.set_aside
WHERE work = 'publication' AND next_attempt_at <= clock_timestamp() LIMIT %s

-- name: keeps_lease
-- Returns a row if one of the gateways has an older lease at the broker than it should.
SELECT FROM vault.set_aside WHERE stands_in = ANY(%s)
    AND (work = 'publication' OR work = 'lease' AND kind = 'gateway') LIMIT 1

-- name: set_aside
-- Adds a failure, or counts it once more, and computes the time of the next attempt.
INSERT INTO vault.set_aside AS s (work, stands_in, kind, unit, cause, tried, next_attempt_at)
VALUES (%(work)s, %(stands_in)s, %(kind)s, %(unit)s, %(cause)s, %(tried)s,
    clock_timestamp() + %(first)s)
ON CONFLICT (work, stands_in, kind, unit) DO UPDATE
SET failures = s.failures + 1, cause = excluded.cause, failed_at = clock_timestamp(),
    tried = excluded.tried,
    next_attempt_at = clock_timestamp()
        + (%(waits)s::interval[])[least(s.failures + 1, cardinality(%(waits)s::interval[]))]

-- name: keep_only
-- Deletes the records of units that were tried and did not fail this time.
DELETE FROM vault.set_aside s
WHERE s.work = %(work)s AND s.stands_in = ANY(%(tried)s) AND NOT EXISTS (
    SELECT FROM unnest(%(kept)s::text[], %(kinds)s::text[], %(units)s::text[])
        AS k (stands_in, kind, unit)
    WHERE (k.stands_in, k.kind, k.unit) = (s.stands_in, s.kind, s.unit))

-- name: of_agents
-- Returns the last failures of gateways in one kind of work.
SELECT stands_in, kind, unit, cause FROM vault.set_aside WHERE work = %s AND stands_in = ANY(%s)

-- name: all
-- Returns the units that are set aside, for a list.
SELECT work, stands_in, kind, unit, cause, failures, failed_since, next_attempt_at
FROM vault.set_aside ORDER BY kind, unit, work, stands_in LIMIT %s

-- name: hasten
-- Makes every unit that is set aside due for its next attempt now.
UPDATE vault.set_aside SET next_attempt_at = clock_timestamp(), failures = 1

-- name: to_retry
-- Returns gateways of which a unit is due for its next attempt.
SELECT DISTINCT a.agent FROM vault.set_aside s JOIN vault.agents a ON a.agent = s.stands_in
WHERE s.work = 'lease' AND s.next_attempt_at <= clock_timestamp() LIMIT %s

-- name: to_publish_again
-- Returns gateways whose refused lease is due for its next publication.
SELECT stands_in FROM vault.set_aside
WHERE work = 'publication' AND next_attempt_at <= clock_timestamp() LIMIT %s

-- name: keeps_lease
-- Returns a row if the broker has an outdated lease for one of the gateways.
SELECT FROM vault.set_aside WHERE stands_in = ANY(%s)
    AND (work = 'publication' OR work = 'lease' AND kind = 'gateway') LIMIT 1

-- name: watch
-- Returns the numbers that trust exports as metrics, in the order of its families.
SELECT
    (SELECT count(*) FROM vault.agents WHERE revoked_at IS NULL),
    (SELECT count(*) FROM vault.agents WHERE revoked_at IS NOT NULL),
    (SELECT count(*) FROM vault.agents WHERE revoked_at IS NOT NULL AND cut_at IS NULL),
    (SELECT count(DISTINCT agent) FROM vault.clone_signs JOIN vault.agents USING (agent)
        WHERE vouched_at IS NULL AND revoked_at IS NULL),
    (SELECT count(*) FROM vault.subjects),
    -- Not the handles themselves: a person has one for each sensor, and sensors are no people.
    (SELECT count(*) FROM (SELECT DISTINCT subject, agent, purpose FROM vault.handles
        WHERE ended_at IS NULL AND unbound_at IS NULL) p),
    (SELECT count(*) FROM (SELECT DISTINCT subject, agent, purpose, decision FROM vault.handles
        WHERE ended_at IS NOT NULL) p),
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(wanted_at)), 0)
        FROM vault.agents WHERE applied < wanted),
    (SELECT count(*) FROM vault.agents
        WHERE due_at < clock_timestamp() - interval '2 minutes' AND revoked_at IS NULL),
    (SELECT count(*) FROM (
        SELECT agent, max(not_after) AS ends FROM vault.certificates GROUP BY agent) c
        JOIN vault.agents a USING (agent)
        WHERE a.revoked_at IS NULL AND c.ends < clock_timestamp() + interval '30 days'),
    (SELECT count(*) FROM vault.erasures e WHERE NOT EXISTS (SELECT FROM vault.erasure_steps s
        WHERE s.number = e.number AND s.step = 'certify')),
    (SELECT count(*) FROM vault.erasure_steps WHERE step = 'certify'),
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(e.requested_at)), 0)
        FROM vault.erasures e WHERE NOT EXISTS (SELECT FROM vault.erasure_steps s
            WHERE s.number = e.number AND s.step = 'certify')),
    (SELECT count(*) FROM vault.requests
        WHERE closed_at IS NULL AND due_at >= clock_timestamp()),
    (SELECT count(*) FROM vault.requests
        WHERE closed_at IS NULL AND due_at < clock_timestamp())

-- name: set_aside
-- Returns how many units are set aside by kind and cause, and one row of tampered gateways.
SELECT kind, cause, count(DISTINCT unit) FROM vault.set_aside GROUP BY kind, cause
UNION ALL
SELECT '', '', count(DISTINCT stands_in) FROM vault.set_aside
WHERE work = 'lease' AND cause IN ('tampered', 'registration')

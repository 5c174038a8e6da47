SET ROLE vv_owner;

-- As before; but a person has a permission for each sensor now, and one person with many sensors must
-- not be seen in the figures. They count people at gateways, by quantity, as they did. What ended
-- because a sensor was unbound is no withdrawal.
CREATE OR REPLACE FUNCTION vv.publish_operations(now timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    this_hour timestamptz := date_trunc('hour', now);
    since timestamptz;
BEGIN
    IF NOT vv.take_turn('publish_operations')
        OR EXISTS (SELECT FROM vv.published_at WHERE hour = this_hour) THEN
        RETURN false;
    END IF;

    -- An hour that was published does not change any more.
    since := greatest((SELECT hour FROM vv.published_at), this_hour - INTERVAL '24 hours');
    INSERT INTO vv.published_envelopes
    SELECT date_trunc('hour', stored_at),
        CASE outcome WHEN 0 THEN 'accepted' WHEN 1 THEN 'refused' WHEN 3 THEN 'given_up'
            ELSE 'quarantined' END,
        vv.coarse(count(*)), vv.coarse(sum(observations))
    FROM vv.envelopes
    WHERE stored_at >= since AND stored_at < this_hour
    GROUP BY 1, 2 HAVING count(DISTINCT agent) >= 11
    ON CONFLICT DO NOTHING;
    DELETE FROM vv.published_envelopes WHERE bucket < this_hour - INTERVAL '24 hours';

    DELETE FROM vv.published_quarantine;
    INSERT INTO vv.published_quarantine
    SELECT reason, vv.coarse(count(*)), date_trunc('day', min(received_at)),
        date_trunc('day', max(received_at)), date_trunc('day', min(expires_at))
    FROM vv.quarantine GROUP BY reason HAVING count(*) >= 11;

    DELETE FROM vv.published_agents;
    INSERT INTO vv.published_agents
    SELECT true, vv.coarse(count(*)), vv.coarse(count(*) FILTER (WHERE a.revoked_at IS NOT NULL)),
        vv.coarse(count(*) FILTER (WHERE l.not_after > now)),
        vv.coarse(count(*) FILTER (WHERE l.not_after BETWEEN now AND now + INTERVAL '1 hour'))
    FROM vv.agents a
    LEFT JOIN (SELECT agent, max(not_after) AS not_after FROM vv.leases GROUP BY agent) l
        USING (agent);

    DELETE FROM vv.published_permissions;
    INSERT INTO vv.published_permissions
    SELECT true, vv.coarse(count(DISTINCT (series_id, agent)) FILTER (
            WHERE withdrawn_at IS NULL AND (valid_to IS NULL OR valid_to > now))),
        vv.coarse(count(DISTINCT (series_id, agent)) FILTER (
            WHERE withdrawn_at IS NULL AND valid_to <= now)),
        vv.coarse(count(DISTINCT (series_id, agent, valid_from)) FILTER (
            WHERE withdrawn_at IS NOT NULL AND measured_to IS NULL)),
        vv.coarse((SELECT epoch FROM vv.permission_gate))
    FROM vv.permissions;

    DELETE FROM vv.published_series;
    INSERT INTO vv.published_series
    SELECT s.purpose, q.name, vv.coarse(count(*))
    FROM vv.series s JOIN vv.quantities q USING (quantity)
    GROUP BY s.purpose, q.name HAVING count(*) >= 11;

    -- Rows to the thousand, bytes to the mebibyte.
    DELETE FROM vv.published_storage;
    INSERT INTO vv.published_storage
    SELECT CASE
            WHEN i.inhparent = 'vv.observations'::regclass THEN 'observations'
            WHEN n.nspname = 'vv' THEN c.relname::text
            WHEN c.relname LIKE 'compress\_hyper\_%' THEN 'observations_compressed'
            ELSE 'aggregates'
        END AS store,
        count(*), ceil(sum(pg_total_relation_size(c.oid)) / 1048576) * 1048576,
        sum(greatest(c.reltuples, 0))::bigint / 1000 * 1000
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE c.relkind = 'r' AND n.nspname IN ('vv', '_timescaledb_internal')
        AND pg_get_userbyid(c.relowner) = 'vv_owner'
    GROUP BY 1;

    DELETE FROM vv.published_erasures;
    INSERT INTO vv.published_erasures
    SELECT date_trunc('day', erased_at), vv.coarse(count(*)) FROM vv.erasures
    WHERE erased_at < date_trunc('day', now) GROUP BY 1 HAVING count(*) >= 11;

    DELETE FROM vv.published_at;
    INSERT INTO vv.published_at VALUES (true, this_hour);
    RETURN true;
END
$$;
RESET ROLE;

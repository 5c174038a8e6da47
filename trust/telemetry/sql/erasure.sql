-- name: is_cleared
SELECT vv.is_cleared()

-- name: clear
SELECT vv.clear_erasures(%s)

-- name: all_pseudonyms
SELECT series_id, pseudonym FROM vv.series

-- name: all_handles
SELECT handle, series_id, agent FROM vv.permissions
UNION SELECT handle, series_id, agent FROM vv.permission_periods

-- name: series_of
-- By pseudonym, and by what the handles were permitted: pseudonyms of an epoch whose key is
-- destroyed cannot be made again.
SELECT series_id FROM vv.series WHERE pseudonym = ANY(%(pseudonyms)s)
UNION SELECT series_id FROM vv.permissions WHERE handle = ANY(%(handles)s)
UNION SELECT series_id FROM vv.permission_periods WHERE handle = ANY(%(handles)s)

-- name: names_of
-- Every pseudonym and handle that leads to these series.
SELECT s.pseudonym FROM vv.series s WHERE s.series_id = ANY(%(series)s)
UNION SELECT p.handle FROM vv.permissions p WHERE p.series_id = ANY(%(series)s)
UNION SELECT p.handle FROM vv.permission_periods p WHERE p.series_id = ANY(%(series)s)

-- name: agents_of
SELECT agent FROM vv.permissions WHERE series_id = ANY(%(series)s)
UNION SELECT agent FROM vv.permission_periods WHERE series_id = ANY(%(series)s) ORDER BY agent

-- name: permitting
-- Agents that may still send: what is closed, and not withdrawn yet, is among it.
SELECT DISTINCT p.agent FROM vv.permissions p
WHERE (p.handle = ANY(%(handles)s) OR p.series_id IN (
        SELECT series_id FROM vv.series WHERE pseudonym = ANY(%(pseudonyms)s)))
  AND (p.withdrawn_at IS NULL OR p.withdrawn_at = 'infinity')
ORDER BY p.agent

-- name: count_series
SELECT store, row_count FROM vv.count_series(%s) ORDER BY store

-- name: relations_of
SELECT vv.relations_of(%s)

-- name: erase_series
SELECT vv.erase_series(%s)

-- name: erase_keys
SELECT store, row_count FROM vv.erase_keys(%s, %s, %s)

-- name: note_erasure
INSERT INTO vv.erasures (number) SELECT unnest(%s::bigint[]) ON CONFLICT DO NOTHING

-- name: noted_erasures
SELECT number FROM vv.erasures

-- name: series_tables
SELECT place, file::bigint, inserted, is_ours, is_attached FROM vv.series_tables() ORDER BY place

-- name: unknown_series
SELECT vv.unknown_series(%s)

-- name: erase_unattached
SELECT vv.erase_unattached(%s)

-- name: names_state
SELECT vv.names_state()

-- name: statistics
-- What the planner remembers of pseudonyms and handles: common values and bounds.
SELECT unnest(coalesce(most_common_vals::text::bytea[], '{}')
              || coalesce(histogram_bounds::text::bytea[], '{}'))
FROM pg_stats WHERE schemaname = 'vv' AND tablename IN ('series', 'permissions', 'permission_periods')
  AND attname IN ('pseudonym', 'handle')

-- name: retain
SELECT store, row_count FROM vv.retain(%s, %s, %s)

-- name: prune_leases
SELECT vv.prune_leases(%s)

-- name: prune_periods
SELECT vv.prune_periods(%s, %s)

-- name: prune_flushes
SELECT vv.prune_flushes(%s)

-- name: drop_partitions
SELECT vv.drop_partitions(%s)

-- name: roll_up
SELECT vv.roll_up(%s)

-- name: publish_cohorts
SELECT vv.publish_cohorts(%s)

-- name: restrict
UPDATE vv.series
SET restricted_at = CASE WHEN %(is_restricted)s THEN coalesce(restricted_at, clock_timestamp()) END
WHERE pseudonym = ANY(%(pseudonyms)s)

-- name: shut
-- Of a database that is not cleared, so that nobody stores meanwhile. A permission that was withdrawn
-- never comes back; once the erasure is done again, what is permitted by then is written as a new one.
UPDATE vv.permissions SET withdrawn_at = clock_timestamp(), changed_epoch = %(epoch)s
WHERE (handle = ANY(%(handles)s) OR series_id = ANY(%(series)s) OR series_id IN (
        SELECT series_id FROM vv.series WHERE pseudonym = ANY(%(pseudonyms)s)))
  AND (withdrawn_at IS NULL OR withdrawn_at = 'infinity')

-- name: shut_out
UPDATE vv.series SET restricted_at = coalesce(restricted_at, clock_timestamp())
WHERE series_id = ANY(%(series)s) OR pseudonym = ANY(%(pseudonyms)s)
  OR series_id IN (SELECT series_id FROM vv.permissions WHERE handle = ANY(%(handles)s))

-- name: exclude_storing
SELECT vv.change_permissions()

-- name: lease_versions
SELECT agent, max(version) FROM vv.leases GROUP BY agent

-- name: is_cleared
-- Whether the database was cleared since its last start or restore.
SELECT vv.is_cleared()

-- name: clear
-- Clear the database; return the erasures that the database has not noted.
SELECT vv.clear_erasures(%s)

-- name: all_pseudonyms
-- Every series with its pseudonym.
SELECT series_id, pseudonym FROM vv.series

-- name: all_handles
-- Every handle with its series and its agent.
SELECT handle, series_id, agent FROM vv.permissions
UNION SELECT handle, series_id, agent FROM vv.permission_periods

-- name: series_of
-- Series of the pseudonyms, and series of the permissions of the handles: pseudonyms of an epoch
-- whose key is destroyed cannot be derived again.
SELECT series_id FROM vv.series WHERE pseudonym = ANY(%(pseudonyms)s)
UNION SELECT series_id FROM vv.permissions WHERE handle = ANY(%(handles)s)
UNION SELECT series_id FROM vv.permission_periods WHERE handle = ANY(%(handles)s)

-- name: names_of
-- Every pseudonym and handle that leads to these series.
SELECT s.pseudonym FROM vv.series s WHERE s.series_id = ANY(%(series)s)
UNION SELECT p.handle FROM vv.permissions p WHERE p.series_id = ANY(%(series)s)
UNION SELECT p.handle FROM vv.permission_periods p WHERE p.series_id = ANY(%(series)s)

-- name: agents_of
-- Agents that were ever permitted to send to these series.
SELECT agent FROM vv.permissions WHERE series_id = ANY(%(series)s)
UNION SELECT agent FROM vv.permission_periods WHERE series_id = ANY(%(series)s) ORDER BY agent

-- name: permitting
-- Agents that may still send, also by a permission that is closed and not withdrawn yet.
SELECT DISTINCT p.agent FROM vv.permissions p
WHERE (p.handle = ANY(%(handles)s) OR p.series_id IN (
        SELECT series_id FROM vv.series WHERE pseudonym = ANY(%(pseudonyms)s)))
  AND (p.withdrawn_at IS NULL OR p.withdrawn_at = 'infinity')
ORDER BY p.agent

-- name: count_series
-- Number of rows of these series, by store.
SELECT store, row_count FROM vv.count_series(%s) ORDER BY store

-- name: relations_of
-- Relations whose files hold rows of these series.
SELECT vv.relations_of(%s)

-- name: erase_series
-- Delete the rows of these series from every store.
SELECT vv.erase_series(%s)

-- name: erase_keys
-- Delete handles, names of series and the quarantine of agents; return deleted rows by store.
SELECT store, row_count FROM vv.erase_keys(%s, %s, %s)

-- name: note_erasure
-- Note that the database has seen these erasures.
INSERT INTO vv.erasures (number) SELECT unnest(%s::bigint[]) ON CONFLICT DO NOTHING

-- name: noted_erasures
-- The erasures that the database has seen.
SELECT number FROM vv.erasures

-- name: series_tables
-- Every table that may hold rows of a series.
SELECT place, file::bigint, inserted, is_ours, is_attached FROM vv.series_tables() ORDER BY place

-- name: unknown_series
-- Series with rows in this table to which no name leads.
SELECT vv.unknown_series(%s)

-- name: erase_unattached
-- Delete rows of these series from tables that are not attached; return the tables.
SELECT vv.erase_unattached(%s)

-- name: names_state
-- A text that changes when names may have come back.
SELECT vv.names_state()

-- name: statistics
-- Pseudonyms and handles in the statistics of the planner: common values and bounds.
SELECT unnest(coalesce(most_common_vals::text::bytea[], '{}')
              || coalesce(histogram_bounds::text::bytea[], '{}'))
FROM pg_stats WHERE schemaname = 'vv' AND tablename IN ('series', 'permissions', 'permission_periods')
  AND attname IN ('pseudonym', 'handle')

-- name: retain
-- Delete old rows of one purpose; return the deleted rows by store.
SELECT store, row_count FROM vv.retain(%s, %s, %s)

-- name: prune_leases
-- Delete leases that ended before this time, except the newest of each agent.
SELECT vv.prune_leases(%s)

-- name: prune_periods
-- Delete periods of permissions of one purpose that ended by this time.
SELECT vv.prune_periods(%s, %s)

-- name: prune_flushes
-- Delete the epochs of flushes before this time.
SELECT vv.prune_flushes(%s)

-- name: drop_partitions
-- Drop the partitions that end by this time.
SELECT vv.drop_partitions(%s)

-- name: roll_up
-- Update the aggregates up to this time.
SELECT vv.roll_up(%s)

-- name: publish_cohorts
-- Publish the cohort figures that are due.
SELECT vv.publish_cohorts(%s)

-- name: restrict
-- Hide the series of these pseudonyms from every view, or show them again.
UPDATE vv.series
SET restricted_at = CASE WHEN %(is_restricted)s THEN coalesce(restricted_at, clock_timestamp()) END
WHERE pseudonym = ANY(%(pseudonyms)s)

-- name: shut
-- Withdraw all permissions of these series and names. The database is not cleared, so ingest stores
-- nothing meanwhile. A withdrawn permission never comes back; after the erasure is repeated, later
-- permissions are written as new ones.
UPDATE vv.permissions SET withdrawn_at = clock_timestamp(), changed_epoch = %(epoch)s
WHERE (handle = ANY(%(handles)s) OR series_id = ANY(%(series)s) OR series_id IN (
        SELECT series_id FROM vv.series WHERE pseudonym = ANY(%(pseudonyms)s)))
  AND (withdrawn_at IS NULL OR withdrawn_at = 'infinity')

-- name: shut_out
-- Hide these series, and the series of these names, from every view.
UPDATE vv.series SET restricted_at = coalesce(restricted_at, clock_timestamp())
WHERE series_id = ANY(%(series)s) OR pseudonym = ANY(%(pseudonyms)s)
  OR series_id IN (SELECT series_id FROM vv.permissions WHERE handle = ANY(%(handles)s))

-- name: exclude_storing
-- Block storing until the end of the transaction; return the new epoch of permissions.
SELECT vv.change_permissions()

-- name: lease_versions
-- The version of the newest lease of each agent.
SELECT agent, max(version) FROM vv.leases GROUP BY agent

-- name: limit
-- The number of the next transaction: all committed transactions have lower numbers.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text

-- name: holders
-- Sessions, slots and settings that may still see rows deleted by a transaction below the limit.
WITH asked AS (
    SELECT age((%(limit)s::bigint %% 4294967296)::text::xid) AS reach
), sessions AS (
    SELECT CASE WHEN is_standby THEN 'standby'
            WHEN application_name = 'pg_dump' THEN 'backup'
            WHEN datname = current_database() THEN 'session'
            ELSE 'session_elsewhere' END AS kind,
        coalesce(usename::text, '') AS role,
        floor(extract(epoch FROM clock_timestamp() - xact_start))::bigint AS held_s, pid
    FROM pg_stat_activity
    -- The column backend_type is hidden from other roles; these columns are visible to all roles.
    CROSS JOIN LATERAL (SELECT datid IS NULL
        AND pid IN (SELECT r.pid FROM pg_stat_replication r) AS is_standby) w, asked
    -- A plain VACUUM holds back no rewrite, although its snapshot is shown.
    WHERE pid <> pg_backend_pid() AND pid NOT IN (SELECT v.pid FROM pg_stat_progress_vacuum v)
        AND (age(backend_xid) > reach OR age(backend_xmin) > reach
            AND (datname = current_database() OR is_standby))
)
SELECT kind, role, held_s, pid FROM sessions
UNION ALL
SELECT 'prepared', p.owner::text, floor(extract(epoch FROM clock_timestamp() - p.prepared))::bigint,
    NULL FROM pg_prepared_xacts p, asked WHERE age(p.transaction) > reach
UNION ALL
SELECT s.slot_type || CASE WHEN s.active THEN '_slot' ELSE '_slot_unused' END, '', NULL, NULL
FROM pg_replication_slots s, asked
WHERE age(s.xmin) > reach OR age(s.catalog_xmin) > reach
UNION ALL
-- A setting of servers before 16: the server delays the cleanup by this many transactions.
SELECT 'defer', '', NULL, NULL FROM pg_settings
WHERE name = 'vacuum_defer_cleanup_age' AND setting <> '0'
ORDER BY 1, 3 DESC NULLS LAST

-- name: may_list_temporary_files
-- Whether the role may list the temporary files of the server.
SELECT has_function_privilege('pg_ls_tmpdir()', 'EXECUTE')

-- name: temporary_files
-- Temporary files of queries, with their sessions. The file of a cursor WITH HOLD outlives the
-- snapshot.
SELECT f.name, coalesce(a.usename::text, ''), a.pid
FROM pg_ls_tmpdir() f
LEFT JOIN pg_stat_activity a ON a.pid::text = substring(f.name FROM '^pgsql_tmp([0-9]+)\.')

-- name: is_rewritten
-- Whether the relation was rewritten at or after the limit. A rewrite drops the rows that no
-- transaction from relfrozenxid on can see, and stores that number.
SELECT age(relfrozenxid) <= age((%(limit)s::bigint %% 4294967296)::text::xid)
FROM pg_class WHERE oid = to_regclass(%(name)s)

-- name: blockers
-- Sessions of the given roles that hold a lock on the relation.
SELECT DISTINCT a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.relation = to_regclass(%(name)s) AND l.granted AND a.usename = ANY(%(roles)s)

-- name: end_session
-- End one session.
SELECT pg_terminate_backend(%(pid)s)

-- name: surroundings
-- Counts of prepared transactions, slots, standbys and sessions with temporary tables; the time.
SELECT (SELECT count(*) FROM pg_prepared_xacts), (SELECT count(*) FROM pg_replication_slots),
    (SELECT count(*) FROM pg_stat_replication WHERE pid NOT IN (
        SELECT active_pid FROM pg_replication_slots WHERE slot_type = 'logical' AND active)),
    (SELECT count(DISTINCT relnamespace) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'),
    to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')

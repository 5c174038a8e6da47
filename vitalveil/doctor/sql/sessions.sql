-- Returns one JSON object with the facts that vitalveil/doctor/sessions.py judges.
SELECT json_build_object(
    'database', current_database(),
    'encoding', (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()),
    'presets', (SELECT json_agg(json_build_array(d.datname, r.rolname,
                split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)) ORDER BY d.datname, r.rolname, c)
        FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c
        LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
        WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND (s.setrole = 0 OR r.rolname IN ('vv_ingest', 'vv_trust', 'vv_owner'))),
    'queue', pg_notification_queue_usage(),
    'sees_activity', pg_has_role('pg_read_all_stats', 'USAGE'),
    'old_snapshots', (SELECT count(*) FROM pg_stat_activity
        WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
            AND backend_type = 'client backend' AND datname = current_database()
            AND xact_start < clock_timestamp() - interval '5 minutes'),
    'idle_transactions', (SELECT count(*) FROM pg_stat_activity
        WHERE state LIKE 'idle in transaction%' AND datname = current_database()
            AND state_change < clock_timestamp() - interval '1 minute'),
    'prepared', (SELECT count(*) FROM pg_prepared_xacts
        WHERE database = current_database() AND prepared < clock_timestamp() - interval '1 minute'),
    'slots', (SELECT json_agg(json_build_object(
                'name', slot_name, 'active', active, 'holds', xmin IS NOT NULL OR catalog_xmin IS NOT NULL,
                'bytes', CASE WHEN pg_is_in_recovery() OR restart_lsn IS NULL THEN NULL
                    ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END) ORDER BY slot_name)
        FROM pg_replication_slots),
    'feedback', (SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL)
)

-- Returns one JSON object with the facts that vitalveil/doctor/people.py judges.
SELECT json_build_object(
    'unlimited', (SELECT json_agg(rolname ORDER BY 1) FROM pg_roles
        WHERE rolname IN ('vv_reader', 'vv_grafana') AND rolconnlimit NOT BETWEEN 0 AND 50),
    'places', current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer
        - coalesce(current_setting('reserved_connections', true)::integer, 0)
        - (SELECT coalesce(sum(greatest(rolconnlimit, 0)), 0) FROM pg_roles
            WHERE rolname IN ('vv_reader', 'vv_grafana')),
    'unset', (SELECT json_agg(r.rolname || ': ' || wanted ORDER BY 1)
        FROM pg_roles r CROSS JOIN unnest('{temp_file_limit,log_min_messages}'::text[]) wanted
        WHERE r.rolname IN ('vv_reader', 'vv_grafana') AND NOT EXISTS (
            SELECT FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c
            WHERE s.setrole = r.oid AND s.setdatabase = 0 AND c LIKE wanted || '=%')),
    'not_ended', (SELECT json_agg(rolname ORDER BY 1) FROM pg_roles
        WHERE rolname IN ('vv_reader', 'vv_grafana') AND NOT pg_has_role(to_regrole('vv_owner')::oid, oid, 'USAGE')),
    'open', (SELECT json_agg(DISTINCT p.proname ORDER BY p.proname) FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
            AND p.proname ~ ('^(pg_advisory_(xact_)?lock|pg_stat_get_(tuples_inserted|activity)|pg_lock_status'
                || '|pg_(total_)?relation_size|pg_current_(xact_id|wal_lsn)|txid_current|lo_(create|from_bytea)'
                || '|pg_logical_emit_message|pg_notify|pg_control_checkpoint)$')
            AND has_function_privilege(to_regrole('vv_grafana')::oid, p.oid, 'EXECUTE')),
    'more', (SELECT json_agg(what ORDER BY 1) FROM (VALUES
            ('temporary tables', has_database_privilege(to_regrole('vv_grafana')::oid, current_database(), 'TEMPORARY')),
            ('blocks of plpgsql', has_language_privilege(to_regrole('vv_grafana')::oid, 'plpgsql', 'USAGE')),
            ('estimates of rows', has_column_privilege(to_regrole('vv_grafana')::oid, 'pg_catalog.pg_class', 'reltuples', 'SELECT'))
        ) AS v (what, is_open) WHERE is_open),
    'elsewhere', (SELECT json_agg(DISTINCT d.datname ORDER BY d.datname) FROM pg_database d
        CROSS JOIN pg_roles r
        WHERE d.datallowconn AND d.datname <> current_database()
            AND r.rolname IN ('vv_reader', 'vv_grafana') AND has_database_privilege(r.oid, d.oid, 'CONNECT')),
    'prepared', current_setting('max_prepared_transactions')::integer,
    'activities', current_setting('track_activities')
)

-- Returns one JSON object with the facts that vitalveil/doctor/database.py judges.
SELECT json_build_object(
    'clock', extract(epoch FROM clock_timestamp()),
    'version', current_setting('server_version_num')::int,
    'schema', to_regnamespace('vv') IS NOT NULL,
    'migrations', to_regclass('public.vv_migrations') IS NOT NULL,
    'timescale', (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
    'license', current_setting('timescaledb.license', true),
    'settings', (SELECT json_object_agg(name, coalesce(reset_val, setting)) FROM pg_settings WHERE name IN (
        'synchronous_commit', 'fsync', 'full_page_writes', 'log_statement', 'password_encryption',
        'log_min_duration_statement', 'log_min_duration_sample', 'log_transaction_sample_rate',
        'log_parameter_max_length', 'log_parameter_max_length_on_error', 'log_error_verbosity',
        'TimeZone', 'max_connections')),
    'lax_roles', (SELECT json_agg(DISTINCT coalesce(r.rolname, 'all') ORDER BY coalesce(r.rolname, 'all'))
        FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN unnest(s.setconfig) c
        WHERE (s.setrole = 0 OR r.rolname LIKE 'vv\_%')
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND lower(c) ~ '^synchronous_commit=(off|false|no|n|f|0)$'),
    'encrypted', (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()),
    'local', inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1',
    'powerful', (SELECT json_agg(rolname ORDER BY 1) FROM pg_roles
        WHERE rolname LIKE 'vv\_%' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication)),
    'roles', (SELECT json_agg(rolname ORDER BY 1) FROM pg_roles WHERE rolname LIKE 'vv\_%'),
    'members', (SELECT json_agg(m.rolname || ' in ' || r.rolname ORDER BY 1)
        FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid
        WHERE m.rolname IN ('vv_ingest', 'vv_trust', 'vv_reader', 'vv_grafana')),
    'public_create', has_schema_privilege('public', 'public', 'CREATE'),
    'vv_create', (SELECT json_agg(rolname ORDER BY 1) FROM pg_roles
        WHERE rolname IN ('vv_ingest', 'vv_trust', 'vv_reader', 'vv_grafana')
            AND to_regnamespace('vv') IS NOT NULL
            AND has_schema_privilege(rolname, to_regnamespace('vv')::oid, 'CREATE')),
    'people_read', (SELECT json_agg(DISTINCT r.rolname || ' reads ' || n.nspname || '.' || c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN pg_roles r
        WHERE r.rolname IN ('vv_reader', 'vv_grafana') AND n.nspname IN ('vv', '_timescaledb_internal')
            AND c.relkind IN ('r', 'p', 'm', 'f') AND c.relname NOT IN ('quantities', 'scales', 'bands')
            AND pg_get_userbyid(c.relowner) = 'vv_owner'
            AND has_any_column_privilege(r.oid, c.oid, 'SELECT')),
    'ingest_lacks', (SELECT json_agg(w.privilege || ' on ' || w.relation ORDER BY 1)
        FROM (VALUES ('vv.observations', 'INSERT'), ('vv.envelopes', 'INSERT'),
            ('vv.envelopes', 'SELECT'), ('vv.spools', 'INSERT'), ('vv.spools', 'UPDATE'),
            ('vv.quarantine', 'INSERT'), ('vv.permissions', 'SELECT'), ('vv.agents', 'SELECT'),
            ('vv.leases', 'SELECT'), ('vv.permission_gate', 'SELECT')) w (relation, privilege)
        WHERE to_regclass(w.relation) IS NOT NULL AND to_regrole('vv_ingest') IS NOT NULL
            AND NOT has_table_privilege('vv_ingest', w.relation, w.privilege)),
    'trust_lacks', (SELECT json_agg(w.privilege || ' on ' || w.relation ORDER BY 1)
        FROM (VALUES ('vv.agents', 'INSERT'), ('vv.agents', 'UPDATE'), ('vv.leases', 'INSERT'),
            ('vv.permissions', 'INSERT'), ('vv.permissions', 'UPDATE'), ('vv.series', 'INSERT'))
            w (relation, privilege)
        WHERE to_regclass(w.relation) IS NOT NULL AND to_regrole('vv_trust') IS NOT NULL
            AND NOT has_table_privilege('vv_trust', w.relation, w.privilege)),
    'open_views', (SELECT json_agg(c.relname ORDER BY 1) FROM pg_class c
        WHERE c.relnamespace = to_regnamespace('vv') AND c.relkind = 'v'
            AND has_table_privilege('vv_grafana', c.oid, 'SELECT')
            AND NOT coalesce('security_barrier=true' = ANY (c.reloptions), false)
            AND NOT coalesce('security_barrier=on' = ANY (c.reloptions), false)),
    'open_functions', (SELECT json_agg(p.proname ORDER BY 1) FROM pg_proc p
        WHERE p.pronamespace = to_regnamespace('vv') AND p.prosecdef
            AND has_function_privilege('vv_grafana', p.oid, 'EXECUTE')),
    'unique_index', (SELECT count(*) FROM pg_index
        WHERE indrelid = to_regclass('vv.observations') AND indisunique),
    'sees_activity', pg_has_role('pg_read_all_stats', 'USAGE'),
    'long_transactions', (SELECT count(*) FROM pg_stat_activity
        WHERE xact_start < now() - interval '15 minutes' AND backend_type = 'client backend')
)

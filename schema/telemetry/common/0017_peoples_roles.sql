-- What the roles of people and dashboards could learn, hold or fill up although they have no grant on
-- anything of ours. Much of it is PostgreSQL's own, open to everyone: only a superuser may close it.
-- `vitalveil doctor` says what could not be closed. (docs/decisions/0021)

-- How many sessions, and what a session has at first. Of these it can lift all but temp_file_limit and
-- log_min_messages: vv.end_sessions() holds it to the others.
DO $$
DECLARE
    person text;
    settings text[] := ARRAY['statement_timeout = ''5s''', 'lock_timeout = ''1s''',
        'idle_in_transaction_session_timeout = ''2s''', 'max_parallel_workers_per_gather = 0',
        'default_transaction_read_only = on'];
    setting text;
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        settings := settings || ARRAY['temp_file_limit = ''64MB''', 'log_min_messages = fatal'];
    END IF;
    FOREACH person IN ARRAY ARRAY['vv_reader', 'vv_grafana'] LOOP
        EXECUTE format('ALTER ROLE %I CONNECTION LIMIT 8', person);
        FOREACH setting IN ARRAY settings LOOP
            EXECUTE format('ALTER ROLE %I SET %s', person, setting);
        END LOOP;
        -- So that the owner may end its sessions, and those of no other role.
        EXECUTE format('GRANT %I TO vv_owner', person);
    END LOOP;
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO vv_owner, vv_ingest, vv_trust',
        current_database());
END
$$;

DO $$
DECLARE
    ours text := 'pg_read_all_stats, vv_owner, vv_ingest, vv_trust';
    found record;
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE WARNING 'what PostgreSQL opens to everyone stays open: this role is no superuser'
            USING HINT = '`vitalveil doctor` lists it.';
        RETURN;
    END IF;
    -- Counters of statistics, transactions and the write-ahead log; sizes and places of files; locks
    -- and who waits for whom; and what takes locks, writes large objects, messages or notifications.
    FOR found IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE')
            AND (proname ~ ('^(pg_stat_get_.*|pg_(try_)?advisory_.*|lo_.*|loread|lowrite|txid_(current.*|status)'
                || '|pg_current_(xact_id.*|snapshot|wal_.*)|pg_xact_.*|pg_last_.*|pg_control_.*|age|mxid_age'
                || '|pg_get_multixact_.*|pg_(relation|total_relation|table|indexes|database|tablespace)_size'
                || '|pg_relation_file(node|path)|pg_lock_status|pg_(safe_snapshot_)?blocking_pids'
                || '|pg_isolation_test_session_is_blocked|pg_prepared_xact|pg_get_replication_slots'
                || '|pg_show_replication_origin_status|pg_logical_emit_message|pg_notify'
                || '|pg_sequence_last_value|pg_get_sequence_data|pg_export_snapshot'
                || '|pg_available_wal_summaries|pg_(get_)?wal_summ.*|pg_get_aios)$'))
            AND NOT (proname = 'age' AND prorettype <> 'integer'::regtype)
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', found.name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', found.name, ours);
    END LOOP;
    -- Estimates of rows and pages, and the number of the transaction that wrote a row: a role may
    -- write some of these itself, and so learn how many transactions there were.
    FOR found IN
        SELECT attrelid::regclass AS name,
            string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attname NOT IN
                ('reltuples', 'relpages', 'relallvisible', 'relallfrozen', 'relfilenode',
                 'relfrozenxid', 'relminmxid')) AS columns
        FROM pg_attribute
        WHERE attrelid IN ('pg_class'::regclass, 'pg_db_role_setting'::regclass, 'pg_default_acl'::regclass,
                'pg_auth_members'::regclass, 'pg_depend'::regclass, 'pg_shdepend'::regclass,
                'pg_largeobject_metadata'::regclass)
            AND attnum > 0
        GROUP BY attrelid
    LOOP
        EXECUTE format('REVOKE SELECT ON %s FROM PUBLIC', found.name);
        EXECUTE format('GRANT SELECT (%s) ON %s TO PUBLIC', found.columns, found.name);
        EXECUTE format('GRANT SELECT ON %s TO %s', found.name, ours);
    END LOOP;
    -- No programs: a block can catch what ends its statement, and begin again.
    REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
    EXECUTE format('GRANT USAGE ON LANGUAGE plpgsql TO %s', ours);
    -- TimescaleDB counts rows and bytes of each chunk, and lists its jobs. Everyone's planner comes by
    -- its schemas, so they stay open, and what can be read or asked there is closed.
    FOR found IN SELECT c.oid::regclass AS name FROM pg_class c
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE e.extname = 'timescaledb' AND c.relkind IN ('r', 'v', 'm', 'p', 'S')
    LOOP
        EXECUTE format('REVOKE SELECT ON %s FROM PUBLIC', found.name);
        EXECUTE format('GRANT SELECT ON %s TO %s', found.name, ours);
    END LOOP;
    FOR found IN SELECT p.oid::regprocedure AS name FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE e.extname = 'timescaledb' AND p.prokind IN ('f', 'p')
            AND (p.pronamespace = to_regnamespace('_timescaledb_functions')
                OR p.proname ~ '(size|stats|approximate|row_count|chunks|_job|policy|refresh)')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', found.name);
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', found.name, ours);
    END LOOP;
END
$$;
SET ROLE vv_owner;

-- Ends every session of people's and dashboards' roles that runs a statement or has a transaction for
-- 5 seconds, or idles in a transaction for 2, in any database of the server: time-outs of its own a
-- session can lift. It may end no other role's: vv_owner is a member of these two alone. Returns how
-- many it ended, and for what.
CREATE FUNCTION vv.end_sessions() RETURNS TABLE (cause text, sessions bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT (pg_has_role('vv_reader', 'USAGE') AND pg_has_role('vv_grafana', 'USAGE')) THEN
        RAISE EXCEPTION 'vv_owner may not end sessions of vv_reader and vv_grafana'
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'As a superuser: GRANT vv_reader, vv_grafana TO vv_owner;';
    END IF;
    RETURN QUERY
    WITH long AS MATERIALIZED (
        SELECT pid, CASE
            WHEN a.state LIKE 'idle in transaction%' AND a.state_change < clock_timestamp() - INTERVAL '2 s'
                THEN 'idle_in_transaction'
            WHEN a.xact_start < clock_timestamp() - INTERVAL '5 s'
                AND a.query_start >= clock_timestamp() - INTERVAL '5 s' THEN 'transaction'
            WHEN a.state <> 'idle' AND least(a.state_change, a.query_start)
                < clock_timestamp() - INTERVAL '5 s' THEN 'statement'
            WHEN a.xact_start < clock_timestamp() - INTERVAL '5 s' THEN 'transaction'
            -- track_activities is off, or the session has not said anything yet.
            WHEN (a.state IS NULL OR a.state = 'disabled')
                AND a.backend_start < clock_timestamp() - INTERVAL '5 s' THEN 'unseen'
        END AS reason
        FROM pg_stat_activity a
        WHERE a.usename IN ('vv_reader', 'vv_grafana') AND a.backend_type = 'client backend'
    )
    SELECT reason, count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM long
    WHERE reason IS NOT NULL GROUP BY reason;
END
$$;
REVOKE ALL ON FUNCTION vv.end_sessions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.end_sessions() TO vv_trust;
RESET ROLE;

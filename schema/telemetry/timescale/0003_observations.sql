SET ROLE vv_owner;

-- No unique index and no foreign key: exactly-once comes from vv.envelopes.
CREATE TABLE vv.observations (
    time timestamptz NOT NULL,
    series_id integer NOT NULL,
    value real NOT NULL,
    flags smallint NOT NULL
);
SELECT create_hypertable('vv.observations', by_range('time', INTERVAL '1 day'), create_default_indexes => false);
-- A flush comes sorted by series and time, so that a few pages hold few series: the summaries lead
-- to one series' minutes nearly as a btree does, and cost the COPY nothing.
CREATE INDEX ON vv.observations USING brin (time, series_id)
    WITH (pages_per_range = 16, autosummarize = on);
GRANT INSERT ON vv.observations TO vv_ingest;

-- Chunks come by themselves; the function is there so that one program runs on both.
CREATE FUNCTION vv.ensure_partitions(first date, last date) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT 0 $$;
REVOKE ALL ON FUNCTION vv.ensure_partitions(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.ensure_partitions(date, date) TO vv_ingest;

-- The apache licence has no columnstore and no jobs; there, settled chunks stay as they are.
DO $$
BEGIN
    IF current_setting('timescaledb.license', true) = 'timescale' THEN
        ALTER TABLE vv.observations SET (
            timescaledb.compress,
            timescaledb.compress_segmentby = 'series_id',
            timescaledb.compress_orderby = 'time'
        );
        PERFORM add_compression_policy('vv.observations', INTERVAL '2 days');
    END IF;
END
$$;
RESET ROLE;

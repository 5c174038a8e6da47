SET ROLE vv_owner;

-- No unique index and no foreign key: exactly-once comes from vv.envelopes.
CREATE TABLE vv.observations (
    time timestamptz NOT NULL,
    series_id integer NOT NULL,
    value real NOT NULL,
    flags smallint NOT NULL
) PARTITION BY RANGE (time);
-- A flush comes sorted by series and time, so that a few pages hold few series: the summaries lead
-- to one series' minutes nearly as a btree does, and cost the COPY nothing.
CREATE INDEX ON vv.observations USING brin (time, series_id)
    WITH (pages_per_range = 16, autosummarize = on);
GRANT INSERT ON vv.observations TO vv_ingest;

-- A partition for each day, of UTC, from one to the other; those that are there stay as they are.
CREATE FUNCTION vv.ensure_partitions(first date, last date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    day date := first;
    made integer := 0;
    name text;
BEGIN
    IF last - first > 4000 THEN
        RAISE EXCEPTION 'more than 4000 partitions asked for' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Two workers that reach a new day together take turns.
    PERFORM pg_advisory_xact_lock(hashtext('vv.ensure_partitions'));
    WHILE day <= last LOOP
        name := 'observations_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('vv.' || name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE vv.%I PARTITION OF vv.observations FOR VALUES FROM (%L) TO (%L)',
                name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        day := day + 1;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION vv.ensure_partitions(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.ensure_partitions(date, date) TO vv_ingest;
RESET ROLE;

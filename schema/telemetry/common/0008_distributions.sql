SET ROLE vv_owner;

-- Time in range and distributions of a cohort, by the day.

-- A rotation gives a person a second series, and on that day she would be two of eleven. So a series
-- counts from the next day on; the day is all that is kept.
ALTER TABLE vv.series ADD COLUMN counted_from timestamptz NOT NULL DEFAULT '1970-01-01 00:00Z';
ALTER TABLE vv.series ALTER COLUMN counted_from
    SET DEFAULT date_trunc('day', clock_timestamp(), 'UTC') + INTERVAL '24 hours';

-- Each quantity's values are cut at *edges*, which lie between two steps of its resolution. Glucose:
-- the international consensus on time in range (Battelino 2019), and its 70 % of a day measured.
CREATE TABLE vv.scales (
    quantity smallint PRIMARY KEY REFERENCES vv.quantities,
    edges double precision[] NOT NULL,
    hours_wanted integer NOT NULL CHECK (hours_wanted BETWEEN 1 AND 24)
);
INSERT INTO vv.scales VALUES
    (1, '{49.5, 59.5, 79.5, 99.5, 119.5}', 1),
    (4, '{2.95, 3.85, 5.55, 7.75, 10.05, 13.95}', 17);

-- What the pieces between the edges are called at each level, from 1, the finest, to 4. A band of one
-- level is always made of whole bands of the level before it: no two bands overlap but by one that
-- contains the other, so that their difference is made of published bands as well.
CREATE TABLE vv.bands (
    quantity smallint NOT NULL REFERENCES vv.scales,
    piece smallint NOT NULL,
    level smallint NOT NULL,
    band text NOT NULL,
    PRIMARY KEY (quantity, level, piece)
);
INSERT INTO vv.bands
SELECT quantity, piece, level, names[level]
FROM (VALUES
    (1, 0, ARRAY['below 50', 'below 60', 'below 60', 'out of range']),
    (1, 1, ARRAY['50 to 59', 'below 60', 'below 60', 'out of range']),
    (1, 2, ARRAY['60 to 79', '60 to 79', '60 to 99', 'in range']),
    (1, 3, ARRAY['80 to 99', '80 to 99', '60 to 99', 'in range']),
    (1, 4, ARRAY['100 to 119', '100 or more', '100 or more', 'out of range']),
    (1, 5, ARRAY['120 or more', '100 or more', '100 or more', 'out of range']),
    (4, 0, ARRAY['below 3.0', 'below 3.0', 'below 3.9', 'out of range']),
    (4, 1, ARRAY['3.0 to 3.8', '3.0 to 3.8', 'below 3.9', 'out of range']),
    (4, 2, ARRAY['3.9 to 5.5', '3.9 to 10.0', '3.9 to 10.0', 'in range']),
    (4, 3, ARRAY['5.6 to 7.7', '3.9 to 10.0', '3.9 to 10.0', 'in range']),
    (4, 4, ARRAY['7.8 to 10.0', '3.9 to 10.0', '3.9 to 10.0', 'in range']),
    (4, 5, ARRAY['10.1 to 13.9', '10.1 to 13.9', 'above 10.0', 'out of range']),
    (4, 6, ARRAY['above 13.9', 'above 13.9', 'above 10.0', 'out of range'])
) AS b (quantity, piece, names), generate_series(1, 4) AS level;

-- The mean of people's shares of their time, in steps of 5 in 100: what one of eleven changes is 9.
CREATE TABLE vv.published_shares (
    bucket timestamptz NOT NULL,
    purpose text NOT NULL,
    quantity smallint NOT NULL,
    level smallint NOT NULL,
    band text NOT NULL,
    place smallint NOT NULL,
    subjects integer NOT NULL CHECK (subjects >= 11),
    share double precision NOT NULL,
    PRIMARY KEY (bucket, quantity, level, band)
);

-- Publishes the days that ended a day ago or more, once; from seven days back at the first time.
-- A level is published only if in each of its bands at least 11 people spent time, and nobody more
-- than 85 in 100 of it: there is no band left out whose share the others would tell. Of each day and
-- quantity only the purpose of most people: two purposes may differ by one person.
CREATE FUNCTION vv.publish_shares(now timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    last timestamptz := date_trunc('day', now - INTERVAL '1 day');
    first timestamptz;
    figures integer;
BEGIN
    SELECT through INTO first FROM vv.published_through WHERE width = 'day, shares';
    first := coalesce(first, last - INTERVAL '7 days');
    IF first >= last THEN
        RETURN 0;
    END IF;
    INSERT INTO vv.published_shares
    WITH spent AS (
        SELECT date_trunc('day', a.bucket) AS day, date_trunc('hour', a.bucket) AS hour,
            s.purpose, s.quantity, s.pseudonym,
            width_bucket(a.total / a.observations, c.edges) AS piece, count(*) AS minutes
        FROM vv.aggregates_1m a JOIN vv.series s USING (series_id) JOIN vv.scales c USING (quantity)
        WHERE a.bucket >= first AND a.bucket < last AND s.restricted_at IS NULL
            AND s.counted_from <= a.bucket
        GROUP BY 1, 2, 3, 4, 5, 6
    ), people AS (
        SELECT day, purpose, quantity, pseudonym, sum(minutes) AS minutes
        FROM spent JOIN vv.scales c USING (quantity)
        GROUP BY day, purpose, quantity, pseudonym, c.hours_wanted
        HAVING count(DISTINCT hour) >= c.hours_wanted
    ), cohorts AS (
        SELECT DISTINCT ON (day, quantity) day, purpose, quantity, count(*) AS subjects
        FROM people GROUP BY day, purpose, quantity HAVING count(*) >= 11
        ORDER BY day, quantity, count(*) DESC, purpose
    ), shares AS (
        SELECT m.day, m.purpose, m.quantity, b.level, b.band,
            sum(m.minutes)::double precision / p.minutes::double precision AS share
        FROM spent m JOIN people p USING (day, purpose, quantity, pseudonym)
        JOIN vv.bands b USING (quantity, piece)
        GROUP BY m.day, m.purpose, m.quantity, b.level, b.band, m.pseudonym, p.minutes
    ), figures AS (
        SELECT c.day, c.purpose, c.quantity, b.level, b.band, b.place, c.subjects,
            sum(s.share) / c.subjects AS share,
            count(s.share) >= 11 AND max(s.share) <= 0.85 * sum(s.share) AS is_sound
        FROM cohorts c
        JOIN (SELECT quantity, level, band, min(piece) AS place FROM vv.bands GROUP BY 1, 2, 3) b
            USING (quantity)
        LEFT JOIN shares s USING (day, purpose, quantity, level, band)
        GROUP BY c.day, c.purpose, c.quantity, b.level, b.band, b.place, c.subjects
    )
    SELECT day, purpose, quantity, level, band, place, subjects / 11 * 11, round(share * 20) / 20
    FROM (SELECT *, bool_and(coalesce(is_sound, false))
            OVER (PARTITION BY day, purpose, quantity, level) AS is_level_sound FROM figures) f
    WHERE is_level_sound;
    GET DIAGNOSTICS figures = ROW_COUNT;
    INSERT INTO vv.published_through VALUES ('day, shares', last)
    ON CONFLICT (width) DO UPDATE SET through = excluded.through;
    RETURN figures;
END
$$;
REVOKE ALL ON FUNCTION vv.publish_shares(timestamptz) FROM PUBLIC;

-- As before; and of each bucket and quantity only the purpose of most people, from the day after a
-- series began, and shares as well.
CREATE OR REPLACE FUNCTION vv.publish_cohorts(now timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    step record;
    since timestamptz;
    figures integer := 0;
    added integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('vv.publish_cohorts')) THEN
        RETURN 0;
    END IF;
    FOR step IN SELECT * FROM (VALUES
        ('hour', 'vv.aggregates_1h', date_trunc('hour', now - INTERVAL '2 hours')),
        ('day', 'vv.aggregates_1d', date_trunc('day', now - INTERVAL '1 day'))
    ) AS s (width, source, through) LOOP
        SELECT through INTO since FROM vv.published_through WHERE width = step.width;
        since := coalesce(since, step.through - INTERVAL '30 days');
        CONTINUE WHEN since >= step.through;
        EXECUTE format($sql$
            INSERT INTO vv.published_cohorts
            SELECT DISTINCT ON (a.bucket, s.quantity) %L, a.bucket, s.purpose, s.quantity,
                count(DISTINCT s.pseudonym) / 11 * 11,
                round(avg(a.total / a.observations) / q.shown_to) * q.shown_to,
                round(stddev_pop(a.total / a.observations) / q.shown_to) * q.shown_to
            FROM %s a JOIN vv.series s USING (series_id) JOIN vv.quantities q USING (quantity)
            WHERE a.bucket >= $1 AND a.bucket < $2 AND s.restricted_at IS NULL
                AND s.counted_from <= a.bucket
            GROUP BY a.bucket, s.purpose, s.quantity, q.shown_to
            HAVING count(DISTINCT s.pseudonym) >= 11
            ORDER BY a.bucket, s.quantity, count(DISTINCT s.pseudonym) DESC, s.purpose
            ON CONFLICT DO NOTHING
        $sql$, step.width, step.source) USING since, step.through;
        GET DIAGNOSTICS added = ROW_COUNT;
        figures := figures + added;
        INSERT INTO vv.published_through VALUES (step.width, step.through)
        ON CONFLICT (width) DO UPDATE SET through = excluded.through;
    END LOOP;
    RETURN figures + vv.publish_shares(now);
END
$$;

CREATE VIEW vv.cohort_shares_daily WITH (security_barrier) AS
SELECT p.bucket, p.purpose, q.name AS quantity, p.level, p.place, p.band, p.subjects, p.share
FROM vv.published_shares p JOIN vv.quantities q USING (quantity);

CREATE OR REPLACE VIEW vv.ops_cohorts WITH (security_barrier) AS
SELECT p.width, p.through,
    (SELECT count(*) FROM vv.published_cohorts c WHERE c.width = p.width)
    + (SELECT count(*) FROM vv.published_shares WHERE p.width = 'day, shares') AS figures
FROM vv.published_through p;

GRANT SELECT ON vv.cohort_shares_daily, vv.scales, vv.bands TO vv_reader, vv_grafana;
RESET ROLE;

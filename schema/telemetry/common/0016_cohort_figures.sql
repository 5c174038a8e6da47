-- A figure of a cohort is published only if it is the same figure whoever of its people is left out:
-- then neither it, nor anything that is calculated from such figures, tells of one person.
-- (docs/decisions/0020)
SET ROLE vv_owner;

ALTER TABLE vv.quantities ADD COLUMN told_in double precision;
UPDATE vv.quantities SET told_in = CASE name
    WHEN 'rr_interval' THEN 100 WHEN 'energy_expended' THEN 100 WHEN 'battery_level' THEN 20
    WHEN 'glucose_capillary' THEN 2 WHEN 'glucose_interstitial' THEN 2 WHEN 'spo2' THEN 2
    WHEN 'body_temperature' THEN 0.5 ELSE 10 END;
ALTER TABLE vv.quantities ALTER COLUMN told_in SET NOT NULL;
COMMENT ON COLUMN vv.quantities.told_in IS 'what figures of fewer than 33 people are rounded to';
COMMENT ON COLUMN vv.quantities.shown_to IS 'the finest that figures of any cohort are rounded to';

-- How many people there are, told in few steps: each step is a number that one person can change.
CREATE FUNCTION vv.cohort_size(people bigint) RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT max(step) FROM unnest('{11, 33, 110, 330, 1100, 3300, 11000, 33000, 110000}'::integer[]) step
    WHERE step <= people
$$;

-- What the mean and spread of so many people are rounded to: the more they are, the finer.
CREATE FUNCTION vv.cohort_step(people bigint, told_in double precision, shown_to double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT greatest(shown_to, told_in * CASE WHEN people < 33 THEN 1 WHEN people < 110 THEN 0.5
        WHEN people < 330 THEN 0.2 ELSE 0.1 END)
$$;

-- The figure that all of *values* are rounded to; NULL if they are not rounded to one. What lies so
-- near to the middle between two that the order of a sum decides is rounded to none.
CREATE FUNCTION vv.agreed(step double precision, VARIADIC vals double precision[])
RETURNS double precision
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN round(min(v) / step - 1e-7) = round(max(v) / step + 1e-7)
        THEN round((round(min(v) / step - 1e-7) * step)::numeric, 6)::double precision END
    FROM unnest(vals) v
$$;
REVOKE ALL ON FUNCTION vv.cohort_size(bigint),
    vv.cohort_step(bigint, double precision, double precision),
    vv.agreed(double precision, double precision[]) FROM PUBLIC;

-- Of which purpose a quantity's figures are. Two purposes may differ by one person, so they are of one,
-- and stay so as long as that one has a cohort.
CREATE TABLE vv.published_purposes (
    quantity smallint PRIMARY KEY,
    purpose text NOT NULL
);

ALTER TABLE vv.published_cohorts ALTER COLUMN spread DROP NOT NULL;
COMMENT ON COLUMN vv.published_cohorts.spread IS
    'NULL where one person makes it another, and where people are so alike that it would tell each';

-- What was published before is told as coarsely as what comes.
UPDATE vv.published_cohorts c SET subjects = vv.cohort_size(c.subjects), spread = NULL,
    mean = round((round(c.mean / q.told_in) * q.told_in)::numeric, 6)::double precision
FROM vv.quantities q WHERE q.quantity = c.quantity;
UPDATE vv.published_shares SET subjects = vv.cohort_size(subjects), share = round(share * 10) / 10;

-- Publishes the hours that ended two hours ago or more, and the days that ended a day ago or more,
-- which are not published yet, and shares and operations; from 30 days back at the first time. Returns
-- how many figures.
CREATE OR REPLACE FUNCTION vv.publish_cohorts(now timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    step record;
    since timestamptz;
    figures integer := 0;
    added integer;
BEGIN
    IF NOT vv.take_turn('publish_cohorts') THEN
        RETURN 0;
    END IF;
    PERFORM vv.publish_operations(now);
    FOR step IN SELECT * FROM (VALUES
        ('hour', 'vv.aggregates_1h', date_trunc('hour', now - INTERVAL '2 hours')),
        ('day', 'vv.aggregates_1d', date_trunc('day', now - INTERVAL '1 day'))
    ) AS s (width, source, through) LOOP
        SELECT through INTO since FROM vv.published_through WHERE width = step.width;
        since := coalesce(since, step.through - INTERVAL '30 days');
        CONTINUE WHEN since >= step.through;
        EXECUTE format($sql$
            WITH people AS (
                SELECT a.bucket, s.purpose, s.quantity, sum(a.total) / sum(a.observations) AS mean
                FROM %2$s a JOIN vv.series s USING (series_id)
                WHERE a.bucket >= $1 AND a.bucket < $2 AND s.restricted_at IS NULL
                    AND s.counted_from <= a.bucket
                GROUP BY a.bucket, s.purpose, s.quantity, s.pseudonym
            ), cohorts AS (
                SELECT bucket, purpose, quantity, count(*) AS people, avg(mean) AS mean,
                    stddev_pop(mean) AS spread, min(mean) AS lowest, max(mean) AS highest
                FROM people GROUP BY bucket, purpose, quantity HAVING count(*) >= 11
            ), chosen AS (
                SELECT DISTINCT ON (quantity) quantity, c.purpose
                FROM (SELECT quantity, purpose, sum(people) AS people FROM cohorts GROUP BY 1, 2) c
                LEFT JOIN vv.published_purposes p USING (quantity, purpose)
                ORDER BY quantity, p.purpose IS NULL, people DESC, c.purpose
            ), kept AS (
                INSERT INTO vv.published_purposes SELECT * FROM chosen
                ON CONFLICT (quantity) DO UPDATE SET purpose = excluded.purpose
            ), left_out AS (
                -- One of n with the deviation d: the mean without them is less by d / (n - 1), and
                -- the sum of squares by d * d * n / (n - 1).
                SELECT c.*, vv.cohort_step(people, told_in, shown_to) AS step,
                    mean - (highest - mean) / (people - 1) AS least_mean,
                    mean + (mean - lowest) / (people - 1) AS most_mean,
                    sqrt(greatest(0, people * (spread ^ 2 - greatest(highest - mean, mean - lowest) ^ 2
                        / (people - 1)) / (people - 1))) AS least_spread,
                    sqrt(people * spread ^ 2 / (people - 1)) AS most_spread
                FROM cohorts c JOIN chosen USING (quantity, purpose) JOIN vv.quantities USING (quantity)
                WHERE vv.cohort_size(people) = coalesce(vv.cohort_size(people - 1), 11)
            ), told AS (
                SELECT *, vv.agreed(step, mean, least_mean, most_mean) AS told_mean,
                    nullif(vv.agreed(step, spread, least_spread, most_spread), 0) AS told_spread
                FROM left_out
            )
            INSERT INTO vv.published_cohorts
            SELECT %1$L, bucket, purpose, quantity, vv.cohort_size(people), told_mean, told_spread
            FROM told WHERE told_mean IS NOT NULL
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

-- As before: the days that ended a day ago or more, once; a level is published only if in each of its
-- bands at least 11 people spent time, and none of them more than 85 in 100 of it. And a band's share
-- is left out if it is another without one person.
CREATE OR REPLACE FUNCTION vv.publish_shares(now timestamptz) RETURNS integer
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
        SELECT day, purpose, quantity, count(*) AS subjects
        FROM people GROUP BY day, purpose, quantity HAVING count(*) >= 11
    ), chosen AS (
        SELECT DISTINCT ON (quantity) quantity, c.purpose
        FROM (SELECT quantity, purpose, sum(subjects) AS subjects FROM cohorts GROUP BY 1, 2) c
        LEFT JOIN vv.published_purposes p USING (quantity, purpose)
        ORDER BY quantity, p.purpose IS NULL, subjects DESC, c.purpose
    ), kept AS (
        INSERT INTO vv.published_purposes SELECT * FROM chosen
        ON CONFLICT (quantity) DO UPDATE SET purpose = excluded.purpose
    ), shares AS (
        SELECT m.day, m.purpose, m.quantity, b.level, b.band,
            sum(m.minutes)::double precision / p.minutes::double precision AS share
        FROM spent m JOIN people p USING (day, purpose, quantity, pseudonym)
        JOIN vv.bands b USING (quantity, piece)
        GROUP BY m.day, m.purpose, m.quantity, b.level, b.band, m.pseudonym, p.minutes
    ), figures AS (
        SELECT c.day, c.purpose, c.quantity, b.level, b.band, b.place, c.subjects,
            coalesce(sum(s.share), 0) AS total, coalesce(max(s.share), 0) AS highest,
            CASE WHEN count(s.share) < c.subjects THEN 0 ELSE min(s.share) END AS lowest,
            coalesce(count(s.share) >= 11 AND max(s.share) <= 0.85 * sum(s.share), false) AS is_sound
        FROM cohorts c JOIN chosen USING (quantity, purpose)
        JOIN (SELECT quantity, level, band, min(piece) AS place FROM vv.bands GROUP BY 1, 2, 3) b
            USING (quantity)
        LEFT JOIN shares s USING (day, purpose, quantity, level, band)
        WHERE vv.cohort_size(c.subjects) = coalesce(vv.cohort_size(c.subjects - 1), 11)
        GROUP BY c.day, c.purpose, c.quantity, b.level, b.band, b.place, c.subjects
    ), told AS (
        SELECT *, bool_and(is_sound) OVER (PARTITION BY day, quantity, level) AS is_level_sound,
            vv.agreed(CASE WHEN subjects < 110 THEN 0.1 ELSE 0.05 END, total / subjects,
                (total - highest) / (subjects - 1), (total - lowest) / (subjects - 1)) AS share
        FROM figures
    )
    INSERT INTO vv.published_shares (bucket, purpose, quantity, level, band, place, subjects, share)
    SELECT day, purpose, quantity, level, band, place, vv.cohort_size(subjects), share
    FROM told WHERE is_level_sound AND share IS NOT NULL;
    GET DIAGNOSTICS figures = ROW_COUNT;
    INSERT INTO vv.published_through VALUES ('day, shares', last)
    ON CONFLICT (width) DO UPDATE SET through = excluded.through;
    RETURN figures;
END
$$;
RESET ROLE;

SET ROLE vv_owner;

-- The aggregates that are stored of one person, for that person (GDPR art. 15 and 20): they are
-- kept longer than what they were made of. As vv.observations_of, it needs the pseudonyms.
CREATE FUNCTION vv.aggregates_of(pseudonyms bytea[])
RETURNS TABLE (purpose text, quantity smallint, seconds integer, bucket timestamptz,
    observations bigint, total double precision, lowest real, highest real)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.purpose, s.quantity, a.seconds, a.bucket, a.observations::bigint,
        a.total::double precision, a.lowest, a.highest
    FROM vv.series s JOIN (
        SELECT 60 AS seconds, bucket, series_id, observations, total, lowest, highest
        FROM vv.aggregates_1m
        UNION ALL SELECT 3600, bucket, series_id, observations, total, lowest, highest
        FROM vv.aggregates_1h
        UNION ALL SELECT 86400, bucket, series_id, observations, total, lowest, highest
        FROM vv.aggregates_1d
    ) a USING (series_id)
    WHERE s.pseudonym = ANY (pseudonyms)
    ORDER BY s.purpose, s.quantity, a.seconds, a.bucket
$$;
REVOKE ALL ON FUNCTION vv.aggregates_of(bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.aggregates_of(bytea[]) TO vv_trust;
RESET ROLE;

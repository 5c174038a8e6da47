SET ROLE vv_owner;

-- What is stored of one person, for that person (GDPR art. 15 and 20). Who calls it has to know the
-- pseudonyms, which only trust can make; it lists nobody.
CREATE FUNCTION vv.observations_of(pseudonyms bytea[])
RETURNS TABLE (purpose text, quantity smallint, "time" timestamptz, value real, flags smallint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.purpose, s.quantity, o.time, o.value, o.flags
    FROM vv.series s JOIN vv.observations o USING (series_id)
    WHERE s.pseudonym = ANY (pseudonyms)
    ORDER BY s.purpose, s.quantity, o.time
$$;
REVOKE ALL ON FUNCTION vv.observations_of(bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.observations_of(bytea[]) TO vv_trust;
RESET ROLE;

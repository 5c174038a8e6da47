SET ROLE vv_owner;

-- Takes leases that ended before *until*, whose envelopes are too old to be stored; never the newest
-- of an agent, because versions only grow. Ingest forgets them when it reads everything anew: until
-- then it knows a lease that nothing can be stored under.
CREATE FUNCTION vv.prune_leases(until timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned bigint;
BEGIN
    DELETE FROM vv.leases l
    USING (SELECT agent, max(version) AS version FROM vv.leases GROUP BY agent) newest
    WHERE l.agent = newest.agent AND l.version < newest.version AND l.not_after < until;
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;
REVOKE ALL ON FUNCTION vv.prune_leases(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vv.prune_leases(timestamptz) TO vv_trust;

-- What trust remembers its decisions and gateways by, apart from the vault: a decision that is cut
-- off there is known here, and so is a gateway's key that was exchanged. Without trust's keys a
-- witness says nothing, not even that two are of one person.
CREATE TABLE vv.witnesses (
    witness bytea PRIMARY KEY CHECK (octet_length(witness) = 16),
    kind text NOT NULL CHECK (kind IN ('decision', 'agent'))
);
GRANT SELECT, INSERT ON vv.witnesses TO vv_trust;
RESET ROLE;

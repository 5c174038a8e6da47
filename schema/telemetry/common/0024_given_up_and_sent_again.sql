SET ROLE vv_owner;

-- What an operator gave up, no key opened. When an envelope comes that opens, with the identity of one
-- that was given up, the ledger says what becomes of it: otherwise its gateway would have a receipt
-- for readings that are nowhere. Returns those that were still given up; what another transaction has
-- taken meanwhile is that one's. In the order of identities, so that no two wait crosswise.
CREATE FUNCTION vv.take_given_up(
    agents text[], spool_ids bytea[], sequences bigint[], digests bytea[], outcomes smallint[],
    counts integer[]
) RETURNS TABLE (agent text, spool_id bytea, sequence bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS (
        SELECT * FROM unnest(agents, spool_ids, sequences, digests, outcomes, counts)
            AS w (agent, spool_id, sequence, digest, outcome, observations)
        WHERE w.outcome IN (0, 1, 2)
    ), held AS MATERIALIZED (
        SELECT e.agent, e.spool_id, e.sequence FROM vv.envelopes e
        JOIN wanted w USING (agent, spool_id, sequence)
        WHERE e.outcome = 3 ORDER BY 1, 2, 3 FOR UPDATE OF e
    )
    UPDATE vv.envelopes e
    SET digest = w.digest, outcome = w.outcome, observations = w.observations
    FROM held h JOIN wanted w USING (agent, spool_id, sequence)
    WHERE (e.agent, e.spool_id, e.sequence) = (h.agent, h.spool_id, h.sequence) AND e.outcome = 3
    RETURNING e.agent, e.spool_id, e.sequence
$$;
REVOKE ALL ON FUNCTION vv.take_given_up(text[], bytea[], bigint[], bytea[], smallint[], integer[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    vv.take_given_up(text[], bytea[], bigint[], bytea[], smallint[], integer[]) TO vv_ingest;
COMMENT ON TABLE vv.given_up IS 'what was given up, when and by whom; when its gateway sent it again '
    'and it opened, the ledger has another outcome than 3';
RESET ROLE;

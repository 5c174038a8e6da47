SET ROLE vv_owner;

-- Envelopes that no key opened, and that an operator gave up: what was not stored, and why. No
-- payload. They stand in the ledger as outcome 3, so that their gateways hear that they may forget
-- them.
CREATE TABLE vv.given_up (
    agent text NOT NULL,
    spool_id bytea NOT NULL,
    sequence bigint NOT NULL,
    digest bytea NOT NULL,
    reason text NOT NULL,
    given_up_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    given_up_by text NOT NULL DEFAULT session_user,
    PRIMARY KEY (agent, spool_id, sequence)
);
COMMENT ON COLUMN vv.envelopes.outcome
    IS '0 accepted, 1 refused, 2 quarantined, 3 given up in quarantine';

-- Public, of the gateway's lease key (X25519): with it ingest proves that a receipt is ingest's, and
-- an agent that a floor is its own. NULL until trust has written it.
ALTER TABLE vv.agents ADD COLUMN lease_key bytea CHECK (octet_length(lease_key) = 32);
RESET ROLE;

SET ROLE vv_owner;

-- Every envelope that was settled, once: what makes each reading one row, without a unique index
-- on the observations. One row per envelope, not per reading.
CREATE TABLE vv.envelopes (
    agent text NOT NULL,
    spool_id bytea NOT NULL,
    sequence bigint NOT NULL,
    digest bytea NOT NULL,
    outcome smallint NOT NULL,
    observations integer NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (agent, spool_id, sequence)
);
COMMENT ON COLUMN vv.envelopes.digest IS 'BLAKE2b-128 of the payload: tells a duplicate from a forgery';
COMMENT ON COLUMN vv.envelopes.outcome IS '0 accepted, 1 refused, 2 quarantined';
COMMENT ON COLUMN vv.envelopes.observations IS 'rows that it added to vv.observations';

-- How far each spool is settled, from its first envelope on.
CREATE TABLE vv.spools (
    agent text NOT NULL,
    spool_id bytea NOT NULL,
    through bigint NOT NULL,
    PRIMARY KEY (agent, spool_id)
);

-- What could neither be stored nor be refused with certainty. Still sealed; a JSON envelope is
-- sealed to ingest before it comes here.
CREATE TABLE vv.quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent text NOT NULL,
    spool_id bytea NOT NULL,
    sequence bigint NOT NULL,
    reason text NOT NULL,
    digest bytea NOT NULL,
    payload bytea NOT NULL,
    received_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
-- What comes again with the same bytes is kept once; also counts what an agent has in it.
CREATE UNIQUE INDEX ON vv.quarantine (agent, spool_id, sequence, digest);
CREATE INDEX ON vv.quarantine (expires_at);

GRANT SELECT, INSERT ON vv.envelopes TO vv_ingest;
GRANT SELECT, INSERT, UPDATE ON vv.spools TO vv_ingest;
GRANT SELECT, INSERT, DELETE ON vv.quarantine TO vv_ingest;
RESET ROLE;

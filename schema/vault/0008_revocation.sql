SET ROLE vv_owner;

-- A revoked gateway may hold a connection that it made before. Null: the broker has not been seen to
-- keep it out and to end that connection; the daemon tries until it was.
ALTER TABLE vault.agents ADD COLUMN cut_at timestamptz;
CREATE INDEX ON vault.agents (agent) WHERE revoked_at IS NOT NULL AND cut_at IS NULL;
GRANT UPDATE (cut_at) ON vault.agents TO vv_trust;

-- Each certificate is renewed once, by who holds it. The same request again gets the same answer,
-- because the first one may have been lost; another request means that two hold it.
CREATE TABLE vault.renewals (
    serial numeric(50) PRIMARY KEY REFERENCES vault.certificates,
    succeeded_by numeric(50) NOT NULL UNIQUE REFERENCES vault.certificates,
    request_sha256 bytea NOT NULL CHECK (octet_length(request_sha256) = 32),
    certificate bytea NOT NULL,
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What speaks for two gateways with one identity, until an operator has looked at it.
CREATE TABLE vault.clone_signs (
    agent text NOT NULL REFERENCES vault.agents,
    kind text NOT NULL CHECK (kind IN ('renewed_twice')),
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    times bigint NOT NULL DEFAULT 1,
    vouched_at timestamptz,
    PRIMARY KEY (agent, kind)
);
GRANT SELECT, INSERT ON vault.renewals, vault.clone_signs TO vv_trust;
GRANT UPDATE (last_at, times, vouched_at) ON vault.clone_signs TO vv_trust;
RESET ROLE;

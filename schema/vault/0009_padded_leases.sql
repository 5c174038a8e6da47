SET ROLE vv_owner;

-- Since when a gateway is known to read padded leases. It reads both forms from then on, so this is
-- taken back by an operator alone, until a time: a forged state must not have the padding left out.
ALTER TABLE vault.agents ADD COLUMN reads_padded_since timestamptz,
    ADD COLUMN unpadded_until timestamptz;
GRANT UPDATE (reads_padded_since, unpadded_until) ON vault.agents TO vv_trust;
RESET ROLE;

SET ROLE vv_owner;

-- Each sensor of a person has a handle of its own, for each purpose: so one gateway may have several
-- handles of a person for a purpose. (A release before this one knows handles with many bindings.)
DROP INDEX vault.handles_subject_agent_purpose_idx;
CREATE INDEX ON vault.handles (subject, agent, purpose) WHERE ended_at IS NULL;

-- A sensor that was unbound: its handle permits what was measured before to be sent, and has no
-- binding any more, so that a release before this one does not bind the sensor again.
ALTER TABLE vault.handles
    ADD COLUMN unbound_at timestamptz,
    ADD COLUMN sealed_unbound bytea,
    ADD CHECK ((unbound_at IS NULL) = (sealed_unbound IS NULL));
COMMENT ON COLUMN vault.handles.sealed_unbound IS 'what was bound until unbound_at, sealed like bindings';
GRANT UPDATE (sealed_bindings, unbound_at, sealed_unbound) ON vault.handles TO vv_trust;
RESET ROLE;

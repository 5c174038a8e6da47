SET ROLE vv_owner;

-- Trust remembers here, too, that it was on record how a version of a purpose came into force.
ALTER TABLE vv.witnesses DROP CONSTRAINT witnesses_kind_check;
ALTER TABLE vv.witnesses ADD CONSTRAINT witnesses_kind_check
    CHECK (kind IN ('decision', 'agent', 'policy'));
RESET ROLE;

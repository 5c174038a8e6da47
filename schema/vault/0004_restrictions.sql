SET ROLE vv_owner;

-- Whoever is or was restricted: looked for whenever a telemetry database was started or restored.
-- The state stands in the signed document alone, which is canonical JSON: without a blank.
CREATE INDEX decisions_of_restrictions ON vault.decisions (subject, purpose)
WHERE position('"state":"restricted"'::bytea IN document) > 0;
RESET ROLE;

SET ROLE vv_owner;

-- Which sensor a permission is for, and until when that sensor measured the person. Written by trust.
-- A source is a keyed number that is of one purpose alone, so that it links nothing; 0 stands for
-- all sensors of a person together, as before there were sources.
ALTER TABLE vv.permissions
    ADD COLUMN source bigint NOT NULL DEFAULT 0,
    ADD COLUMN measured_to timestamptz;
COMMENT ON COLUMN vv.permissions.source IS
    'of the readings of a series, those of one source have the intervals of the policy to themselves';
COMMENT ON COLUMN vv.permissions.measured_to IS
    'when its sensor was unbound: readings from before may still come; null: it is bound';
RESET ROLE;

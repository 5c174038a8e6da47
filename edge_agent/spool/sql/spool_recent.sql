-- What version 3 has beyond version 2, but for the column `folded_through` of `spool`.

-- The newest: a slot is the sequence modulo their number, and written again and again.
CREATE TABLE recent (
    slot integer PRIMARY KEY,
    sequence integer NOT NULL,
    owner blob NOT NULL,
    worth integer NOT NULL,
    appended_at_ms integer NOT NULL,
    observations integer NOT NULL,
    payload blob NOT NULL
) STRICT;

CREATE VIEW held AS
    SELECT sequence, owner, worth, appended_at_ms, observations, payload FROM envelopes
    UNION ALL
    SELECT sequence, owner, worth, appended_at_ms, observations, payload FROM recent
    WHERE sequence > (SELECT folded_through FROM spool);

PRAGMA user_version = 3;

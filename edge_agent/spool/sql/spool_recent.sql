-- The tables that version 3 adds to version 2. It also adds the column `folded_through` to `spool`.

-- The newest envelopes. The slot is the sequence modulo the number of slots, and is overwritten.
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

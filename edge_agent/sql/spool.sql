-- The spool of one agent. Ciphertext and keyed tags only: no handle, no sensor, no value in clear.

CREATE TABLE spool (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    spool_id blob NOT NULL,
    key_check blob NOT NULL,            -- the tag of a constant: is this the key of our tags?
    next_sequence integer NOT NULL DEFAULT 1,
    depth integer NOT NULL DEFAULT 0,   -- how many envelopes there are
    bytes integer NOT NULL DEFAULT 0    -- of their payloads
) STRICT;

CREATE TABLE envelopes (
    sequence integer PRIMARY KEY,
    owner blob NOT NULL,                -- tag of the handle, to find what a withdrawal purges
    appended_at_ms integer NOT NULL,
    observations integer NOT NULL,
    payload blob NOT NULL
) STRICT;

CREATE TABLE marks (
    tag blob PRIMARY KEY,
    owner blob,                         -- tag of the handle that it goes with, if any
    number integer NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
    what text PRIMARY KEY,
    envelopes integer NOT NULL DEFAULT 0,
    observations integer NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

INSERT INTO totals (what) VALUES ('appended'), ('settled'), ('purged'), ('evicted');

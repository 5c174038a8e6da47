-- The spool of one agent. It holds only ciphertext and keyed tags: no handle, no sensor address and
-- no value in clear. Every commit writes each page that it changes, so pages are small, and new
-- envelopes are written into slots (`recent`).

CREATE TABLE spool (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    spool_id blob NOT NULL,
    key_check blob NOT NULL,            -- the tag of a constant: is this the key of our tags?
    -- What follows counts `envelopes` and what has left; `recent` is counted when it is folded.
    next_sequence integer NOT NULL DEFAULT 1,
    depth integer NOT NULL DEFAULT 0,   -- how many envelopes there are
    bytes integer NOT NULL DEFAULT 0,   -- of their payloads
    appended_envelopes integer NOT NULL DEFAULT 0,
    appended_observations integer NOT NULL DEFAULT 0,
    settled_envelopes integer NOT NULL DEFAULT 0,
    settled_observations integer NOT NULL DEFAULT 0,
    purged_envelopes integer NOT NULL DEFAULT 0,
    purged_observations integer NOT NULL DEFAULT 0,
    evicted_envelopes integer NOT NULL DEFAULT 0,
    evicted_observations integer NOT NULL DEFAULT 0,
    damaged_envelopes integer NOT NULL DEFAULT 0,
    damaged_observations integer NOT NULL DEFAULT 0,
    folded_through integer NOT NULL DEFAULT 0   -- what `recent` holds up to here is not in force
) STRICT;

CREATE TABLE envelopes (
    sequence integer PRIMARY KEY,
    owner blob NOT NULL,                -- tag of the handle, to find what a withdrawal purges
    worth integer NOT NULL,             -- what goes first when not all can stay
    appended_at_ms integer NOT NULL,
    observations integer NOT NULL,
    payload blob NOT NULL
) STRICT;

CREATE TABLE marks (
    tag blob PRIMARY KEY,
    owner blob,                         -- tag of the handle that it goes with, if any
    number integer NOT NULL
) STRICT, WITHOUT ROWID;

-- Envelopes that were lost without an erasure: one row for each hour, reason and priority.
CREATE TABLE gaps (
    hour_ms integer NOT NULL,           -- when it was given up, to the hour
    reason text NOT NULL,
    worth integer NOT NULL,
    first integer NOT NULL,             -- sequence of the first
    last integer NOT NULL,
    from_ms integer NOT NULL,           -- when the oldest of them was appended
    to_ms integer NOT NULL,
    envelopes integer NOT NULL,
    observations integer NOT NULL,
    PRIMARY KEY (hour_ms, reason, worth)
) STRICT, WITHOUT ROWID;

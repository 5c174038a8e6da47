"""
Removes envelopes from the spool's file: settled, purged, or evicted, which is recorded as a gap.

Each function works in the open transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from edge_agent.ports import Amount, Removed, Shortage

HOUR_MS: Final = 3_600_000
GAPS_KEPT_MS: Final = 400 * 24 * HOUR_MS
_SLACK: Final = 32
"""
Eviction frees at least 1/32 of the limit at once, because finding what to evict reads the whole
file.
"""

Way = Literal["settled", "purged", "evicted"]


def remove(db: sqlite3.Connection, sequences: Sequence[int], way: Way) -> Removed:
    """Delete *sequences*, and count them as removed in the given *way*."""
    observations = size = 0
    for sequence in sequences:
        count, length = db.execute(
            "DELETE FROM envelopes WHERE sequence = ? RETURNING observations, length(payload)",
            [sequence],
        ).fetchall()[0]
        observations += count
        size += length
    if sequences:
        # Counters, because counting a large spool at each commit would read all of it. The names
        # of columns come from the closed list above.
        db.execute(
            "UPDATE spool SET depth = depth - ?1, bytes = bytes - ?2,"  # noqa: S608
            f" {way}_envelopes = {way}_envelopes + ?1,"
            f" {way}_observations = {way}_observations + ?3",
            [len(sequences), size, observations],
        )
    return Removed(Amount(len(sequences), observations), list(sequences))


def make_room(db: sqlite3.Connection, limit: int, shortage: Shortage, *, now_ms: int) -> Removed:
    """
    Evict envelopes until at most *limit* bytes are kept: lowest priority first, then oldest first.

    The newest envelope is kept, whatever its size.
    """
    (held,) = db.execute("SELECT bytes FROM spool").fetchone()
    if held <= limit:
        return Removed(Amount(), [])
    excess = held - limit + (limit // _SLACK if shortage is Shortage.BYTES else 0)
    rows = db.execute(
        "SELECT sequence, length(payload) FROM envelopes"
        " WHERE sequence < (SELECT max(sequence) FROM envelopes) ORDER BY worth, sequence"
    )
    sequences: list[int] = []
    for sequence, size in rows:
        if excess <= 0:
            break
        excess -= size
        sequences.append(sequence)
    rows.close()
    return _give_up(db, sequences, shortage, now_ms=now_ms)


def give_up_older(db: sqlite3.Connection, oldest_ms: int, *, now_ms: int) -> Removed:
    """Evict the envelopes that were appended before *oldest_ms*, ms since 1970."""
    rows = db.execute("SELECT sequence, appended_at_ms FROM envelopes ORDER BY sequence")
    sequences: list[int] = []
    # Stops at the first one that is young enough, so that a large spool is not read completely.
    for sequence, appended_at_ms in rows:
        if appended_at_ms >= oldest_ms:
            break
        sequences.append(sequence)
    rows.close()
    return _give_up(db, sequences, Shortage.AGE, now_ms=now_ms)


def _give_up(
    db: sqlite3.Connection, sequences: Sequence[int], shortage: Shortage, *, now_ms: int
) -> Removed:
    _note_gaps(db, sequences, shortage, now_ms=now_ms)
    return remove(db, sequences, "evicted")


def _note_gaps(
    db: sqlite3.Connection, sequences: Iterable[int], shortage: Shortage, *, now_ms: int
) -> None:
    hour_ms = now_ms - now_ms % HOUR_MS
    for sequence in sequences:
        db.execute(
            "INSERT INTO gaps SELECT ?1, ?2, worth, sequence, sequence, appended_at_ms,"
            " appended_at_ms, 1, observations FROM envelopes WHERE sequence = ?3"
            " ON CONFLICT (hour_ms, reason, worth) DO UPDATE SET"
            " first = min(first, excluded.first), last = max(last, excluded.last),"
            " from_ms = min(from_ms, excluded.from_ms), to_ms = max(to_ms, excluded.to_ms),"
            " envelopes = envelopes + 1, observations = observations + excluded.observations",
            [hour_ms, shortage.value, sequence],
        )
    db.execute("DELETE FROM gaps WHERE hour_ms < ?", [now_ms - GAPS_KEPT_MS])

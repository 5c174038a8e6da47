"""
The newest envelopes of a spool, in a ring of slots that are overwritten in place.

An envelope that is settled within a minute or two never grows the file: it uses a slot, which the
envelope `SLOTS` sequences later overwrites. A slot is written in place, so that a commit changes
only the pages that hold it. Envelopes not settled by then are folded: moved to `envelopes`.

A row is valid while its sequence is above `folded_through`; other rows are ignored.
Each function works in the open transaction.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from edge_agent.ports import Amount, Removed
from wire.receipt import SpoolReceipt

SLOTS: Final = 128
_MAX_AT_ONCE: Final = SLOTS // 4
_MAX_BYTES: Final = 1024
"""The largest envelope in a slot; a larger one would need additional pages each time."""
_LIST: Final = (
    "SELECT sequence, observations, length(payload) FROM recent"
    " WHERE sequence > (SELECT folded_through FROM spool) ORDER BY sequence"
)
_MOVE: Final = (
    "INSERT INTO envelopes SELECT sequence, owner, worth, appended_at_ms, observations, payload"
    " FROM recent WHERE slot = ?"
)

Row = tuple[int, bytes, int, int, int, bytes]
"""Sequence, tag of the handle, priority, time of append in ms, observations, payload."""


def put(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Insert *rows*, with ascending sequences that were never used before."""
    first, last = rows[0][0], rows[-1][0]
    (through,) = db.execute("SELECT folded_through FROM spool").fetchone()
    is_small = last - first < _MAX_AT_ONCE and all(len(row[5]) <= _MAX_BYTES for row in rows)
    if not is_small or last - through > SLOTS:
        # Two valid rows must not share a slot, and folded rows precede new ones.
        fold(db, first - 1)
    if is_small:
        db.executemany(
            "INSERT OR REPLACE INTO recent VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(row[0] % SLOTS, *row) for row in rows],
        )
    else:
        db.executemany("INSERT INTO envelopes VALUES (?, ?, ?, ?, ?, ?)", rows)
        _count_in(db, [(row[0], row[4], len(row[5])) for row in rows])
        db.execute("UPDATE spool SET folded_through = ?", [last])


def fold(db: sqlite3.Connection, through: int | None = None) -> None:
    """Move all valid rows to `envelopes`. No sequence up to *through* may be inserted later."""
    rows = db.execute(_LIST).fetchall()
    _move(db, rows)
    highest = max([through or 0, *(row[0] for row in rows)])
    db.execute("UPDATE spool SET folded_through = max(folded_through, ?)", [highest])


def settle(db: sqlite3.Connection, receipt: SpoolReceipt) -> Removed:
    """Remove the valid rows that *receipt* covers; fold lower ones that it does not cover."""
    rows = db.execute(_LIST).fetchall()
    covered = [row for row in rows if receipt.covers(row[0])]
    if not covered:
        return Removed(Amount(), [])
    through = covered[-1][0]
    _move(db, [row for row in rows if row[0] < through and not receipt.covers(row[0])])
    amount = Amount(len(covered), sum(row[1] for row in covered))
    db.execute(
        "UPDATE spool SET folded_through = ?3, next_sequence = max(next_sequence, ?3 + 1),"
        " appended_envelopes = appended_envelopes + ?1,"
        " appended_observations = appended_observations + ?2,"
        " settled_envelopes = settled_envelopes + ?1,"
        " settled_observations = settled_observations + ?2",
        [amount.envelopes, amount.observations, through],
    )
    return Removed(amount, [row[0] for row in covered])


def _move(db: sqlite3.Connection, rows: Sequence[tuple[int, int, int]]) -> None:
    db.executemany(_MOVE, [(row[0] % SLOTS,) for row in rows])
    _count_in(db, rows)


def _count_in(db: sqlite3.Connection, rows: Sequence[tuple[int, int, int]]) -> None:
    """Add *rows* (sequence, observations, bytes) to the totals of `envelopes`."""
    if not rows:
        return
    db.execute(
        "UPDATE spool SET depth = depth + ?1, bytes = bytes + ?2,"
        " next_sequence = max(next_sequence, ?3),"
        " appended_envelopes = appended_envelopes + ?1,"
        " appended_observations = appended_observations + ?4",
        [
            len(rows),
            sum(row[2] for row in rows),
            rows[-1][0] + 1,
            sum(row[1] for row in rows),
        ],
    )

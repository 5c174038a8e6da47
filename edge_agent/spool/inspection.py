"""Reads counts and gaps of a spool, by the agent itself or beside a running agent."""

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from edge_agent.errors import SpoolError
from edge_agent.ports import Amount, SpoolStats
from edge_agent.spool import database_file
from edge_agent.values.priority import Priority
from runtime.logs import describe

_RECENT = (
    "SELECT count(*), coalesce(sum(observations), 0), coalesce(sum(length(payload)), 0),"
    " coalesce(max(sequence), 0) FROM recent"
    " WHERE sequence > (SELECT folded_through FROM spool)"
)
WAYS = ("appended", "settled", "purged", "evicted", "damaged")


class Gap(msgspec.Struct, frozen=True):
    """Envelopes that were given up within one hour, for one reason."""

    hour_ms: int
    reason: str
    worth: str
    first: int
    last: int
    """The lowest and highest sequence. Envelopes between them may have been kept."""
    from_ms: int
    to_ms: int
    """When the oldest and the newest of them were appended, ms since 1970."""
    envelopes: int
    observations: int


class SpoolView(msgspec.Struct, frozen=True):
    """The state of a spool, and its totals since it was made."""

    spool_id: bytes
    stats: SpoolStats
    totals: dict[str, Amount]
    """
    Totals by name. It holds that appended = settled + purged + evicted + damaged + still in the
    spool.
    """
    gaps: list[Gap]


def read_spool_id(db: sqlite3.Connection) -> bytes:
    """Return the id of the spool."""
    row: tuple[bytes] = db.execute("SELECT spool_id FROM spool").fetchone()
    return row[0]


def read_stats(db: sqlite3.Connection) -> SpoolStats:
    """Return size and bounds of the spool."""
    next_sequence, depth, size = db.execute(
        "SELECT next_sequence, depth, bytes FROM spool"
    ).fetchone()
    recent, _, recent_bytes, highest = db.execute(_RECENT).fetchone()
    next_sequence = max(next_sequence, highest + 1)
    oldest = db.execute(
        "SELECT sequence, appended_at_ms FROM held ORDER BY sequence LIMIT 1"
    ).fetchone()
    floor, oldest_ms = (next_sequence, None) if oldest is None else oldest
    return SpoolStats(floor, next_sequence, depth + recent, size + recent_bytes, oldest_ms)


def read_totals(db: sqlite3.Connection) -> dict[str, Amount]:
    """Return the totals of the spool since it was made."""
    columns = ", ".join(f"{way}_envelopes, {way}_observations" for way in WAYS)
    row = db.execute(f"SELECT {columns} FROM spool").fetchone()  # noqa: S608 - constants
    totals = {way: Amount(*row[2 * i : 2 * i + 2]) for i, way in enumerate(WAYS)}
    envelopes, observations, *_ = db.execute(_RECENT).fetchone()
    return totals | {"appended": totals["appended"] + Amount(envelopes, observations)}


def read_gaps(db: sqlite3.Connection) -> list[Gap]:
    """Return the gaps, the oldest first."""
    rows = db.execute(
        "SELECT hour_ms, reason, worth, first, last, from_ms, to_ms, envelopes, observations"
        " FROM gaps ORDER BY hour_ms, reason, worth"
    )
    return [
        Gap(hour, reason, Priority(worth).name.lower(), *rest)
        for hour, reason, worth, *rest in rows
    ]


def look(folder: Path) -> SpoolView:
    """
    Return the spool in *folder*, as its last transaction left it.

    Raises:
        SpoolError: There is no spool, or it cannot be read.
    """
    try:
        with contextlib.closing(database_file.open_read_only(folder)) as db:
            db.execute("BEGIN")  # All queries see the same state.
            return SpoolView(read_spool_id(db), read_stats(db), read_totals(db), read_gaps(db))
    except (sqlite3.Error, TypeError, ValueError) as exc:
        raise SpoolError(f"be read: {describe(exc)}") from None

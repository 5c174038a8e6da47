"""
Repairs a damaged spool: everything that can still be read is copied into a new file.

New sequences start far above all that were ever used: the highest one may be lost, and a sequence
that is used twice would count as a duplicate.
"""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from edge_agent.spool import database_file
from edge_agent.spool.database_file import MarkRow
from edge_agent.spool.recent_slots import SLOTS, Row
from edge_agent.values.priority import Priority
from runtime import files
from wire.envelope import decode_envelope
from wire.errors import WireError

JUMP: Final = 1 << 32
Plausible = Annotated[int, Meta(ge=0, lt=1 << 58)]
"""The greatest number to accept from a damaged page. No gateway counts beyond it, and sums of such
numbers fit into a column."""
_MAX_PROBES: Final = 100_000
_AT_ONCE: Final = 256
_COUNTERS: Final = tuple(
    f"{way}_{what}"
    for way in ("appended", "settled", "purged", "evicted", "damaged")
    for what in ("envelopes", "observations")
)
_WORTHS: Final = frozenset(map(int, Priority))
_COLUMNS: Final = "sequence, owner, worth, appended_at_ms, observations, payload"


class Repair(msgspec.Struct, frozen=True):
    """The result of repairing a damaged file."""

    envelopes: int
    """Envelopes that were recovered."""
    lost: int | None
    """Envelopes that were not recovered; None if their number cannot be read."""


class _Known(msgspec.Struct):
    """The properties of a damaged spool that can still be read."""

    spool_id: bytes | None = None
    next_sequence: int = 1
    counters: list[int] | None = None
    folded_through: int = 0
    has_all_recent: bool = True
    """Whether every slot could be read: an unreadable one may have held an envelope."""


def repair(path: Path, *, new_spool_id: bytes, key_check: bytes) -> Repair:
    """
    Replace the damaged file at *path* by a sound one; return what was recovered.

    After a crash at any point, either the damaged file or the complete new one is at *path*.
    """
    new = path.with_name(f"{path.name}.new")
    for companion in ("", "-wal", "-shm"):
        new.with_name(new.name + companion).unlink(missing_ok=True)
    # Created exclusively: if another process puts a file there, this fails.
    files.create(new).close()
    target = database_file.connect(new)
    try:
        found = _copy(path, target, new_spool_id=new_spool_id, key_check=key_check)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        target.close()
    database_file.put_in_place(new, path)
    return found


def _copy(path: Path, to: sqlite3.Connection, *, new_spool_id: bytes, key_check: bytes) -> Repair:
    with _reading(path) as source:
        if source is None or not _is_ours(source, key_check):
            database_file.begin(to, new_spool_id, key_check)
            return Repair(0, None)
        known = _known(source)
        recent = _recent(source, known)
        rows = itertools.chain(_sound(_rows(source), known), recent)
        first = next(rows, None)
        database_file.begin(to, known.spool_id or new_spool_id, key_check)
        to.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", _marks(source))
        copied = 0
        # If the disk is full, what was copied stays; the rest is in the file that is set aside.
        with contextlib.suppress(sqlite3.OperationalError):
            copied = _insert(to, rows if first is None else itertools.chain([first], rows))
        return _settle_accounts(to, known, copied)


def _settle_accounts(to: sqlite3.Connection, known: _Known, copied: int) -> Repair:
    """Make the counters of the new file balance: missing envelopes count as damaged."""
    held, size, observations, highest = to.execute(
        "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(sum(observations), 0),"
        " coalesce(max(sequence), 0) FROM envelopes"
    ).fetchone()
    counters = known.counters or [held, observations] + [0] * (len(_COUNTERS) - 2)
    lost = counters[0] - sum(counters[2::2]) - held
    if lost < 0:
        counters, lost = [held, observations] + [0] * (len(_COUNTERS) - 2), 0
    counters[-2] += lost
    counters[-1] += counters[1] - sum(counters[3::2]) - observations
    to.execute(
        "UPDATE spool SET depth = ?, bytes = ?, next_sequence = ?, "  # noqa: S608 - constants
        + ", ".join(f"{name} = ?" for name in _COUNTERS),
        [held, size, max(known.next_sequence, highest + 1) + JUMP, *counters],
    )
    return Repair(copied, lost if known.counters and known.has_all_recent else None)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    connection: sqlite3.Connection | None = None
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


def _is_ours(source: sqlite3.Connection, key_check: bytes) -> bool:
    """Tell whether its tags were made with this key, or whether that cannot be read."""
    with contextlib.suppress(sqlite3.Error):
        row = source.execute("SELECT key_check FROM spool").fetchone()
        return row is None or row == (key_check,)
    with contextlib.suppress(sqlite3.Error):
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return True
    return False


def _known(source: sqlite3.Connection) -> _Known:
    known = _Known()
    counters = ", ".join(_COUNTERS)
    query = f"SELECT spool_id, next_sequence, folded_through, {counters} FROM spool"  # noqa: S608
    with contextlib.suppress(sqlite3.Error, OverflowError, msgspec.ValidationError):
        row = source.execute(query).fetchone()
        if row is not None:
            spool_id, next_sequence, folded_through, *counters = row
            if len(msgspec.convert(spool_id, bytes)) == len(b"16 bytes exactly"):
                known = _Known(
                    spool_id,
                    msgspec.convert(next_sequence, Plausible),
                    msgspec.convert(counters, list[Plausible]),
                    msgspec.convert(folded_through, Plausible),
                )
    return known


def _marks(source: sqlite3.Connection) -> list[MarkRow]:
    rows: list[object] = []
    with contextlib.suppress(sqlite3.Error, OverflowError):
        rows.extend(source.execute("SELECT tag, owner, number FROM marks"))
    marks = []
    for row in rows:
        with contextlib.suppress(msgspec.ValidationError):
            marks.append(msgspec.convert(row, MarkRow))
    return marks


def _recent(source: sqlite3.Connection, known: _Known) -> list[Row]:
    """Return the envelopes in the slots, and add them to the counters, which omit them."""
    found: list[object] = []
    query = f"SELECT {_COLUMNS} FROM recent WHERE slot = ? AND sequence > ?"  # noqa: S608
    for slot in range(SLOTS):
        try:
            found.extend(source.execute(query, [slot, known.folded_through]))
        except (sqlite3.Error, OverflowError):
            known.has_all_recent = False
    rows = sorted(_sound(iter(found), known))
    if known.counters is not None:
        known.counters[0] += len(rows)
        known.counters[1] += sum(row[4] for row in rows)
    return rows


def _rows(source: sqlite3.Connection) -> Iterator[object]:
    """Yield the readable rows: from both ends up to the damage, and one by one inside it."""
    low, high = 0, None
    query = f"SELECT {_COLUMNS} FROM envelopes"  # noqa: S608 - constants
    try:
        for row in source.execute(f"{query} ORDER BY sequence"):
            yield row
            low = row[0] if isinstance(row[0], int) else low
        return
    except (sqlite3.Error, OverflowError):
        pass
    try:
        for row in source.execute(f"{query} WHERE sequence > ? ORDER BY sequence DESC", [low]):
            yield row
            high = row[0] if isinstance(row[0], int) else high
        return
    except (sqlite3.Error, OverflowError):
        pass
    probes = range(low + 1, low + _MAX_PROBES if high is None else min(high, low + _MAX_PROBES))
    for sequence in probes:
        with contextlib.suppress(sqlite3.Error, OverflowError):
            yield from source.execute(f"{query} WHERE sequence = ?", [sequence])


def _sound(rows: Iterator[object], known: _Known) -> Iterator[Row]:
    """Yield the rows that hold an envelope of this spool; the first one decides its spool id."""
    for candidate in rows:
        try:
            row = msgspec.convert(candidate, Row)
            envelope = decode_envelope(row[5])
        except (msgspec.ValidationError, WireError):
            continue
        if known.spool_id is None:
            known.spool_id = envelope.spool_id
        is_whole = row[0] == envelope.sequence and envelope.spool_id == known.spool_id
        if is_whole and row[2] in _WORTHS and row[4] >= 0:
            yield row


def _insert(to: sqlite3.Connection, rows: Iterator[Row]) -> int:
    copied = 0
    while some := list(itertools.islice(rows, _AT_ONCE)):
        to.execute("BEGIN IMMEDIATE")
        for row in some:
            query = "INSERT OR IGNORE INTO envelopes VALUES (?, ?, ?, ?, ?, ?)"
            copied += to.execute(query, row).rowcount
        to.execute("COMMIT")
    return copied

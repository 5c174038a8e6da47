"""Checks that the file of a spool is sound: integrity, counters and sequences."""

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from edge_agent.errors import SpoolError
from edge_agent.spool import database_file
from edge_agent.spool.inspection import read_spool_id, read_stats, read_totals
from runtime.logs import describe
from wire.envelope import decode_envelope
from wire.errors import WireError

_SHOWN = 5


class VerificationResult(msgspec.Struct, frozen=True):
    """The result of `verify`."""

    envelopes: int
    problems: list[str]

    @property
    def is_sound(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


def verify(folder: Path) -> VerificationResult:
    """
    Check the spool in *folder*, also while an agent is running.

    Raises:
        SpoolError: There is no spool, or it cannot be checked.
    """
    try:
        with contextlib.closing(database_file.open_read_only(folder)) as db:
            db.execute("BEGIN")
            return VerificationResult(*_check(db))
    except (sqlite3.Error, TypeError) as exc:
        raise SpoolError(f"be verified: {describe(exc)}") from None


def _check(db: sqlite3.Connection) -> tuple[int, list[str]]:
    problems = [f"file: {row[0]}" for row in db.execute("PRAGMA integrity_check(5)")]
    if problems != ["file: ok"]:
        return 0, problems
    problems.clear()
    spool_id, stats, totals = read_spool_id(db), read_stats(db), read_totals(db)
    count = size = observations = 0
    for sequence, held, payload in db.execute(
        "SELECT sequence, observations, payload FROM held ORDER BY sequence"
    ):
        count, size, observations = count + 1, size + len(payload), observations + held
        problem = _problem(sequence, payload, spool_id, stats.next_sequence)
        if problem is not None and len(problems) < _SHOWN:
            problems.append(f"envelope {sequence}: {problem}")
    if (count, size) != (stats.depth, stats.bytes):
        problems.append("the counts of what is held do not fit what is held")
    gone = [totals[way] for way in ("settled", "purged", "evicted", "damaged")]
    if totals["appended"].envelopes != count + sum(a.envelopes for a in gone):
        problems.append("envelopes: appended is not settled, purged, evicted, damaged and held")
    if totals["appended"].observations != observations + sum(a.observations for a in gone):
        problems.append("observations: the same")
    return count, problems


def _problem(sequence: int, payload: bytes, spool_id: bytes, next_sequence: int) -> str | None:
    try:
        envelope = decode_envelope(payload)
    except WireError as exc:
        return str(exc)
    if (envelope.spool_id, envelope.sequence) != (spool_id, sequence):
        return "it is another's"
    return None if sequence < next_sequence else "its sequence was never given out"

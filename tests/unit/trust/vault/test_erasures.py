"""The ledger's file and tombstones, without a database."""

import datetime as dt
import uuid
from pathlib import Path

from trust.vault.erasure_file import LedgerFile
from trust.vault.records.erasures import Erasure, LedgerEntry, Tombstones


def entry(number: int) -> LedgerEntry:
    """Return an entry."""
    at = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
    return LedgerEntry(Erasure(number, uuid.UUID(int=number), None, at), "{}", b"signature")


def test_file_keeps_each_erasure_once(tmp_path: Path) -> None:
    """An entry that is appended again after a crash is in the file once, in order."""
    file = LedgerFile(tmp_path / "erasures.jsonl")

    for number in (1, 2, 1):
        file.append(entry(number))

    assert list(file.entries()) == [entry(1), entry(2)]


def test_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    """A truncated line is omitted, and later lines are read."""
    path = tmp_path / "erasures.jsonl"
    file = LedgerFile(path)
    file.append(entry(1))
    file.append(entry(2))
    path.write_bytes(path.read_bytes()[:-20])

    file.append(entry(3))

    assert [one.erasure.number for one in file.entries()] == [1, 3]


def test_no_file_is_an_empty_ledger(tmp_path: Path) -> None:
    """Without a file the ledger is empty."""
    assert list(LedgerFile(tmp_path / "none").entries()) == []


def test_tombstones_recognise_under_one_key_only() -> None:
    """A name has the same tombstone under one key only."""
    ours, others = Tombstones(b"k" * 32), Tombstones(b"o" * 32)

    assert ours.of(b"name") == ours.of(b"name")
    assert len({ours.of(b"name"), ours.of(b"nama"), others.of(b"name")}) == 3

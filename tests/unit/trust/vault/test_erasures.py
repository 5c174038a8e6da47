"""The ledger's file and tombstones, without a database."""

import datetime as dt
import uuid
from pathlib import Path

from trust.vault.erasure_file import LedgerFile
from trust.vault.records.erasures import Entry, Erasure, Tombstones


def entry(number: int) -> Entry:
    """Return an entry."""
    at = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
    return Entry(Erasure(number, uuid.UUID(int=number), None, at), "{}", b"signature")


def test_file_keeps_each_erasure_once(tmp_path: Path) -> None:
    """What is appended again after a crash is there once, in order."""
    file = LedgerFile(tmp_path / "erasures.jsonl")

    for number in (1, 2, 1):
        file.append(entry(number))

    assert list(file.entries()) == [entry(1), entry(2)]


def test_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    """A line that a power cut tore is left out; what is appended after it is read."""
    path = tmp_path / "erasures.jsonl"
    file = LedgerFile(path)
    file.append(entry(1))
    file.append(entry(2))
    path.write_bytes(path.read_bytes()[:-20])

    file.append(entry(3))

    assert [one.erasure.number for one in file.entries()] == [1, 3]


def test_no_file_is_an_empty_ledger(tmp_path: Path) -> None:
    """Before the first erasure there is no file, and nothing to do again."""
    assert list(LedgerFile(tmp_path / "none").entries()) == []


def test_tombstones_recognise_under_one_key_only() -> None:
    """The same name gives the same tombstone; without the key nobody can tell."""
    ours, others = Tombstones(b"k" * 32), Tombstones(b"o" * 32)

    assert ours.of(b"name") == ours.of(b"name")
    assert len({ours.of(b"name"), ours.of(b"nama"), others.of(b"name")}) == 3

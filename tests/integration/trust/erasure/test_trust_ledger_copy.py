"""
The ledger's file is deleted, truncated, replaced or unreadable: trust notices it and repairs the
file.
"""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from tests.fixtures.vault import Office, Refusal, measured
from trust.erasure.ledger_copy import FileState
from trust.erasure.metrics import ErasureMetrics
from trust.errors import LedgerLost
from trust.vault.erasure_file import LedgerFile
from vitalveil.doctor import ledger_file
from vitalveil.doctor.finding import Level

pytestmark = pytest.mark.database


class Erased:
    """An office that has erased two people, one after the other."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.file = office.folder / "erasures.jsonl"
        self.older = office.folder / "older.jsonl"
        self.subjects: list[str] = []
        for _ in range(2):
            subject = office.add_subject() if self.subjects else measured(office)[0]
            office.run("erase", subject, "--scope", "all", "--yes")
            self.subjects.append(subject)
            if not self.older.exists():
                shutil.copy(self.file, self.older)
        self.whole = self.file.read_bytes()

    def known(self) -> set[str]:
        """Return the subjects in the file."""
        return {str(entry.erasure.subject) for entry in LedgerFile(self.file).entries()}

    def forget_in_vault(self) -> None:
        """Set the vault back to a state before the second erasure."""
        self.office.vault.execute("DELETE FROM vault.erasure_steps WHERE number = 2")
        self.office.vault.execute("DELETE FROM vault.erasures WHERE number = 2")


@pytest.fixture
def erased(office: Office) -> Erased:
    """An office after two erasures."""
    return Erased(office)


def _delete(erased: Erased) -> None:
    erased.file.unlink()


def _truncate(erased: Erased) -> None:
    erased.file.write_bytes(b"")


def _cut(erased: Erased) -> None:
    erased.file.write_bytes(erased.whole[: len(erased.whole) * 3 // 4])


def _replace(erased: Erased) -> None:
    shutil.copy(erased.older, erased.file)


def _forge(erased: Erased) -> None:
    erased.file.write_text(erased.whole.decode().replace('"number":2', '"number":7'))


@pytest.mark.parametrize(
    ("harm", "state"),
    [
        (_delete, FileState.MISSING),
        (_truncate, FileState.SHORT),
        (_cut, FileState.SHORT),
        (_replace, FileState.SHORT),
        (_forge, FileState.SHORT),
    ],
)
def test_a_file_that_lacks_erasures_is_noticed_and_given_them(
    erased: Erased, harm: Callable[[Erased], None], state: FileState
) -> None:
    """
    A file that lacks erasures is named by the command, counted, and completed from the
    vault.
    """
    assert erased.office.app.ledger_copy.look().state is FileState.COMPLETE
    harm(erased)
    registry = CollectorRegistry()
    metrics = ErasureMetrics(registry)

    found = erased.office.run("erase", "verify")
    assert found["ledger_file"] == state
    assert any("ledger's file" in problem for problem in found["problems"])
    metrics.ledger_file(*erased.office.app.ledger_copy.repair())

    assert erased.known() >= set(erased.subjects)
    assert registry.get_sample_value("vitalveil_trust_erasure_ledger_file_repaired_total") == 1
    sample = "vitalveil_trust_erasure_ledger_file"
    assert registry.get_sample_value(sample, {"state": "complete"}) == 1
    assert registry.get_sample_value(sample, {"state": str(state)}) == 0
    assert erased.office.run("erase", "verify")["problems"] == []


def test_a_file_that_cannot_be_read_is_named_and_clears_nothing(erased: Erased) -> None:
    """
    An unreadable file is named, and a started database remains closed, because its content is
    unknown.
    """
    erased.file.unlink()
    erased.file.mkdir()

    assert erased.office.app.ledger_copy.repair() == (FileState.UNREADABLE, FileState.UNREADABLE)
    with pytest.raises(LedgerLost, match="cannot be read"):
        erased.office.app.restore_guard.clear()
    erased.file.rmdir()
    erased.office.app.restore_guard.clear()
    assert erased.known() == set(erased.subjects)


@contextmanager
def _full_disk(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_is_named(erased: Erased) -> None:
    """A full disk is named while the file lacks erasures; with new space the file is completed."""
    _replace(erased)

    with _full_disk(erased.older.stat().st_size + 20):
        assert erased.office.app.ledger_copy.repair() == (FileState.SHORT, FileState.UNWRITABLE)

    assert erased.office.app.ledger_copy.repair() == (FileState.SHORT, FileState.COMPLETE)
    assert erased.known() == set(erased.subjects)


@pytest.mark.parametrize("told_by", ["the count beside it", "the telemetry database"])
def test_where_neither_is_complete_nothing_is_written_and_nothing_cleared(
    erased: Erased, told_by: str
) -> None:
    """
    If both vault and file lack erasures, nothing is written or cleared, and an operator must find
    the newer file.
    """
    erased.forget_in_vault()
    _replace(erased)
    if told_by == "the telemetry database":
        (erased.office.folder / "erasures.jsonl.count").unlink()
    else:
        erased.office.telemetry.execute("DELETE FROM vv.erasures WHERE number = 2")
    before = erased.file.read_bytes()

    assert erased.office.app.ledger_copy.repair() == (FileState.LOST, FileState.LOST)
    assert erased.file.read_bytes() == before
    with pytest.raises(Refusal, match="neither the vault nor the ledger's file knows"):
        erased.office.run("erase", "replay")

    erased.file.write_bytes(erased.whole)
    assert erased.office.run("erase", "replay")["cleared"]
    assert erased.office.app.ledger_copy.look().state is FileState.COMPLETE


def test_a_number_that_was_given_again_forgets_nobody(erased: Erased) -> None:
    """After a restore two erasures may have the same number; the file and the vault know both."""
    office = erased.office
    erased.forget_in_vault()
    third = office.add_subject("Cy")
    office.vault.execute("SELECT setval('vault.erasures_number_seq', 1)")
    assert office.run("erase", third, "--scope", "all", "--yes")["number"] == 2

    office.run("erase", "replay")

    rows = office.vault.fetch("SELECT number, subject::text FROM vault.erasures ORDER BY number")
    assert rows == [(1, erased.subjects[0]), (2, third), (3, erased.subjects[1])]
    assert office.app.ledger_copy.look().state is FileState.COMPLETE


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_delete, "is missing"),
        (_replace, "lacks 1"),
        (lambda e: (e.file.unlink(), e.file.mkdir()), "cannot be read"),
    ],
)
def test_the_doctor_names_a_file_that_lacks_erasures(
    erased: Erased, harm: Callable[[Erased], object], said: str
) -> None:
    """The doctor reports a file that lacks erasures, without needing a key."""
    with psycopg.connect(erased.office.vault.dsn("vv_trust"), autocommit=True) as connection:
        assert ledger_file.look(connection, erased.file).level is Level.SOUND
        assert ledger_file.look(connection, None).level is Level.NOTE

        harm(erased)

        found = ledger_file.look(connection, erased.file)
    assert found.level is Level.WRONG
    assert said in found.text

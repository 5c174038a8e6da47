"""
Erasure without a server: an interrupted one continues, and nothing is destroyed before
the mark.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.fakes.stores import MemoryRewrite, MemoryStores
from tests.support.clinic import Clinic
from tests.support.vault_rows import PURPOSE
from trust.config import ConsentSettings
from trust.consent.consent import Consent
from trust.decisions.decisions import State
from trust.domain.erasure_steps import STEPS
from trust.erasure.eraser import Eraser
from trust.erasure.verification import Verifier
from trust.errors import BrokerUnavailable, NotFound
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler
from trust.vault.erasure_file import LedgerFile
from trust.vault.records.erasures import LedgerEntry


class Killed(BaseException):
    """The process is killed at this instruction."""


class _Open:
    def ensure(self) -> None:
        """Allow everything."""


class _File(LedgerFile):
    """The ledger's file, on a disk that can end the process."""

    fails = False

    def append(self, entry: LedgerEntry) -> None:
        if self.fails:
            raise Killed
        super().append(entry)


class Ward:
    """A clinic with one measured person, and the eraser."""

    def __init__(self, keys: Keys, folder: Path) -> None:
        self.clinic = Clinic(keys)
        self.agent = self.clinic.enrol()
        self.subject, self.handle = self.clinic.accept(self.agent)
        self.clinic.wait(seconds=1)
        self.clinic.reconciler.reconcile([self.agent])
        self.stores = MemoryStores(self.clinic.telemetry)
        self.stores.measure(self.agent, rows=5)
        self.rewrite = MemoryRewrite()
        self.file = _File(folder / "erasures.jsonl")
        self.publishes = True
        vault, reconciler = self.clinic.vault, Reconciler(self.clinic.reconciler, _Open())
        consent = Consent(vault, reconciler, clock=self.clinic.now, ages=ConsentSettings())
        self.eraser = Eraser(
            vault,
            self.stores,
            consent,
            reconciler,
            keys,
            controller="clinic.example",
            physical_rewrite=self.rewrite,
            verifier=Verifier(
                vault,
                self.stores,
                reconciler,
                keys,
                rewrite=self.rewrite.sweep,
                ledger_file=self.file,
            ),
            publish=lambda: self.publishes,
            ledger_file=self.file,
            horizon=(dt.timedelta(days=1), dt.timedelta(days=30)),
            clock=self.clinic.now,
        )

    def rows(self) -> int:
        """Return how many rows are stored."""
        return sum(self.stores.rows.values())


@pytest.fixture
def ward(keys: Keys, tmp_path: Path) -> Ward:
    """A ward with one person, with five stored rows."""
    return Ward(keys, tmp_path)


def _steps(ward: Ward, number: int) -> list[str]:
    with ward.clinic.vault.transaction() as records:
        return records.erasures.steps(number).names()


def test_nothing_of_a_person_is_left(ward: Ward) -> None:
    """
    Rows, names, handles, permissions and the data key are gone, and every step is
    recorded once.
    """
    number = ward.eraser.erase(ward.subject, None)

    assert _steps(ward, number) == list(STEPS)
    assert ward.rows() == 0
    assert ward.stores.known == []
    assert ward.clinic.telemetry.handles_of(ward.agent) == set()
    assert ward.eraser.verify(number) == []
    assert ward.stores.seen == {number}
    with ward.clinic.vault.transaction() as records:
        assert records.handles.all() == []
        assert records.subjects.is_erased(ward.subject)
    assert ward.eraser.certificate(number).certificate.number == number


def test_one_purpose_is_erased_and_the_person_stays(ward: Ward) -> None:
    """After the erasure of one purpose its rows are gone, and the personal details are kept."""
    ward.eraser.erase(ward.subject, PURPOSE)

    assert ward.rows() == 0
    with ward.clinic.vault.transaction() as records:
        assert records.subjects.personal_details(ward.subject).name
        chain = records.decisions.chain(ward.subject, PURPOSE)
    assert chain[-1].state is State.WITHDRAWN


def test_another_persons_rows_stay(ward: Ward) -> None:
    """The rows of another person are kept."""
    _, other = ward.clinic.accept(ward.agent)
    ward.clinic.reconciler.reconcile([ward.agent])
    before = ward.rows()
    ward.stores.measure(ward.agent, rows=7)
    added = ward.rows() - before

    ward.eraser.erase(ward.subject, None)

    assert ward.rows() == added - 7
    assert ward.clinic.telemetry.handles_of(ward.agent) == {other}


@pytest.mark.parametrize("step", STEPS)
def test_cut_off_before_a_step_is_recorded_it_goes_on(ward: Ward, step: str) -> None:
    """
    After a kill at the commit of a step's record, the same command completes the erasure under the
    same number.
    """
    armed = [True]

    def die() -> None:
        recorded = ward.clinic.vault.working
        assert recorded is not None
        if armed and any(name == step for _, name in recorded.steps):
            armed.clear()
            raise Killed

    ward.clinic.vault.before_commit = die
    with pytest.raises(Killed):
        ward.eraser.erase(ward.subject, None)

    number = ward.eraser.erase(ward.subject, None)

    assert number == 1
    assert _steps(ward, number) == list(STEPS)
    assert ward.rows() == 0
    assert ward.eraser.verify(number) == []


def test_nothing_is_destroyed_before_the_file_knows_the_mark(ward: Ward) -> None:
    """If the ledger's file cannot be written, the data key, handles and rows are kept."""
    ward.file.fails = True
    with pytest.raises(Killed):
        ward.eraser.erase(ward.subject, None)

    with ward.clinic.vault.transaction() as records:
        assert not records.subjects.is_erased(ward.subject)
        assert records.handles.all() != []
    assert ward.rows() == 5
    ward.file.fails = False
    number = ward.eraser.erase(ward.subject, None)
    assert [entry.erasure.number for entry in ward.file.entries()] == [number]


def test_no_certificate_before_the_broker_has_the_leases(ward: Ward) -> None:
    """While the broker retains an older lease, the erasure waits before its certificate."""
    ward.publishes = False
    with pytest.raises(BrokerUnavailable):
        ward.eraser.erase(ward.subject, None)
    assert _steps(ward, 1) == list(STEPS[: STEPS.index("broker")])
    with pytest.raises(NotFound):
        ward.eraser.certificate(1)

    ward.publishes = True

    assert ward.eraser.erase(ward.subject, None) == 1


def test_what_a_backup_brings_back_is_found(ward: Ward) -> None:
    """Rows, names, handles and data keys that a backup has brought back are found and named."""
    tables, names = ward.clinic.vault.tables, list(ward.stores.known)
    people, handles = tables.subjects, tables.handles
    number = ward.eraser.erase(ward.subject, None)
    restore: list[tuple[str, Callable[[], None]]] = [
        ("names", lambda: ward.stores.known.extend(names)),
        ("vault identity", lambda: ward.clinic.vault.tables.subjects.update(people)),
        ("vault handles", lambda: ward.clinic.vault.tables.handles.update(handles)),
    ]

    found: list[list[str]] = []
    for _, bring_back in restore:
        bring_back()
        found.append(ward.eraser.verify(number))

    assert found == [sorted(place for place, _ in restore[: n + 1]) for n in range(len(restore))]


def test_an_unknown_person_is_not_erased(ward: Ward) -> None:
    """The erasure of an unknown person is refused."""
    with pytest.raises(NotFound):
        ward.eraser.erase(UUID(int=0), None)

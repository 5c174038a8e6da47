"""Restriction without a server: nothing more is measured, and what is stored is in no view."""

import pytest

from tests.fakes.stores import MemoryStores
from tests.support.clinic import Clinic
from tests.support.vault_rows import PURPOSE, purpose
from trust.consent.restriction import Restriction
from trust.decisions.decisions import State
from trust.errors import EndedUnrecorded, Tampered
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler


class _Open:
    def ensure(self) -> None:
        """Let everything pass."""


@pytest.fixture
def clinic(keys: Keys) -> Clinic:
    """A clinic with the demo's purpose."""
    made = Clinic(keys)
    with made.vault.transaction() as records:
        records.purposes.add(purpose())
    made.wait(seconds=1)
    return made


@pytest.fixture
def stores(clinic: Clinic) -> MemoryStores:
    """What is stored of its people."""
    return MemoryStores(clinic.telemetry)


@pytest.fixture
def restriction(clinic: Clinic, stores: MemoryStores, keys: Keys) -> Restriction:
    """What restricts it."""
    return Restriction(
        clinic.vault,
        stores,
        Reconciler(clinic.reconciler, _Open()),
        keys,
        controller="clinic.example",
        clock=clinic.now,
    )


def test_a_restriction_is_lifted(
    clinic: Clinic, stores: MemoryStores, restriction: Restriction
) -> None:
    """While it lasts nothing is measured and no view counts; lifted, what is stored counts."""
    agent = clinic.enrol()
    subject, _ = clinic.accept(agent)

    restriction.restrict(subject, PURPOSE)

    assert clinic.telemetry.handles_of(agent) == set()
    assert len(stores.restricted) == 1
    with clinic.vault.transaction() as records:
        assert records.decisions.chain(subject, PURPOSE)[-1].state is State.RESTRICTED
    restriction.lift(subject, PURPOSE)
    assert stores.restricted == set()


def test_damaged_decisions_are_restricted_all_the_same(
    clinic: Clinic, stores: MemoryStores, restriction: Restriction
) -> None:
    """The command says that it is not recorded; nothing is measured, and no view counts."""
    agent = clinic.enrol()
    subject, _ = clinic.accept(agent)
    clinic.vault.tables.decisions[0].signature = b""

    with pytest.raises(EndedUnrecorded, match="restriction"):
        restriction.restrict(subject, None)

    assert clinic.telemetry.handles_of(agent) == set()
    assert clinic.unfinished() == []
    assert len(stores.restricted) == 1


def test_damaged_decisions_lift_nothing(
    clinic: Clinic, stores: MemoryStores, restriction: Restriction
) -> None:
    """What does not verify lets nothing back into a view."""
    subject, _ = clinic.accept(clinic.enrol())
    restriction.restrict(subject, PURPOSE)
    clinic.vault.tables.decisions[0].signature = b""

    with pytest.raises(Tampered):
        restriction.lift(subject, PURPOSE)

    assert len(stores.restricted) == 1

"""Restriction without a server: nothing is measured, and stored data are in no view."""

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
        """Allow everything."""


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
    """The stored data of its people."""
    return MemoryStores(clinic.telemetry)


@pytest.fixture
def restriction(clinic: Clinic, stores: MemoryStores, keys: Keys) -> Restriction:
    """The restriction procedures of the clinic."""
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
    """
    During a restriction nothing is measured and no view counts the data; afterwards they count
    again.
    """
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
    """With damaged decisions a restriction takes effect, and says that it is not recorded."""
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
    """With damaged decisions a restriction cannot be lifted."""
    subject, _ = clinic.accept(clinic.enrol())
    restriction.restrict(subject, PURPOSE)
    clinic.vault.tables.decisions[0].signature = b""

    with pytest.raises(Tampered):
        restriction.lift(subject, PURPOSE)

    assert len(stores.restricted) == 1

"""Leases to publish, as the vault keeps them: one that cannot be read costs its gateway alone."""

import pytest

from tests.support.clinic import Clinic
from trust.domain.units import Cause
from trust.metrics import Metrics
from trust.ports import Keys
from trust.reconcile.publication_register import PublicationRegister


@pytest.fixture
def clinic(keys: Keys) -> Clinic:
    """Three gateways with a lease each."""
    clinic = Clinic(keys)
    agents = [clinic.enrol() for _ in range(3)]
    for agent in agents:
        clinic.accept(agent)
    clinic.reconciler.reconcile(agents)
    return clinic


@pytest.fixture
def register(clinic: Clinic) -> PublicationRegister:
    """The leases of these gateways, two at once."""
    return PublicationRegister(clinic.vault, Metrics(), at_once=2)


def test_what_the_broker_has_waits_no_more(clinic: Clinic, register: PublicationRegister) -> None:
    """Leases come in the order of their gateways, until the broker has or refuses them."""
    first, second, third = sorted(clinic.lease_versions())
    some = register.unpublished(without=[])
    assert [lease.agent for lease in some] == [first, second]
    assert [lease.agent for lease in register.unpublished(without=[first])] == [second, third]

    register.save(some, {second: Cause.BROKER_REFUSED})

    assert [lease.agent for lease in register.unpublished(without=[])] == [third]
    assert clinic.set_aside() == {second: {Cause.BROKER_REFUSED}}
    assert register.agents_after("") == [first, third]
    clinic.wait(minutes=5)
    assert register.due_again() == [second]


def test_a_lease_that_cannot_be_read_costs_its_gateway_alone(
    clinic: Clinic, register: PublicationRegister
) -> None:
    """It is set aside, and all others are published; once readable, it is tried again."""
    damaged, *others = sorted(clinic.lease_versions())
    clinic.vault.tables.damaged_leases.add(damaged)

    assert [lease.agent for lease in register.unpublished(without=[])] == others[:1]
    assert clinic.set_aside() == {damaged: {Cause.ROW_REFUSED}}
    assert [lease.agent for lease in register.unpublished(without=[])] == others
    assert register.leases_of([damaged]) == []

    clinic.vault.tables.damaged_leases.clear()
    assert [lease.agent for lease in register.leases_of([damaged])] == [damaged]


def test_leases_of_which_none_can_be_read_hide_no_others(
    clinic: Clinic, register: PublicationRegister
) -> None:
    """With as many damaged leases as a round takes, the next one is found all the same."""
    *damaged, last = sorted(clinic.lease_versions())
    clinic.vault.tables.damaged_leases.update(damaged)

    assert [lease.agent for lease in register.unpublished(without=[])] == [last]
    assert clinic.set_aside().keys() == set(damaged)

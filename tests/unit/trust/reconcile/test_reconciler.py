"""Reconciliation without a server: interrupted work is repeated, and a fault affects one unit."""

import secrets
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.telemetry import row_refused
from tests.support.clinic import TTL_S, Clinic, new_lease_key
from tests.support.vault_rows import PURPOSE
from trust.config import LeaseSettings
from trust.decisions import leases
from trust.domain.units import Cause, Failure, Unit, UnitKind, Work, gateway
from trust.errors import TelemetryUnavailable
from trust.ports import Keys
from trust.telemetry.permissions import Change


class Killed(BaseException):
    """The process is killed at this instruction."""


@pytest.fixture
def clinic(keys: Keys) -> Clinic:
    """An empty clinic."""
    return Clinic(keys)


def test_what_was_decided_is_permitted_and_leased(clinic: Clinic) -> None:
    """After reconciliation telemetry permits the handle, a lease waits, and no work is left."""
    agent = clinic.enrol()
    _, handle = clinic.accept(agent)
    assert clinic.unfinished() == [agent]

    done = clinic.reconciler.reconcile([agent])

    assert clinic.telemetry.handles_of(agent) == {handle}
    assert clinic.lease_versions() == done.versions == {agent: 1}
    assert clinic.unfinished() == []


def test_what_is_up_to_date_is_not_written_again(clinic: Clinic) -> None:
    """Reconciling an unchanged gateway again writes nothing until its lease is due."""
    agent = clinic.enrol()
    clinic.accept(agent)
    clinic.reconciler.reconcile([agent])
    writes: list[Sequence[Change]] = []
    clinic.telemetry.before_write = writes.append

    clinic.reconciler.reconcile([agent])
    assert writes == []

    clinic.wait(seconds=TTL_S)
    assert clinic.unfinished() == [agent]
    assert clinic.reconciler.reconcile([agent]).versions == {agent: 2}
    assert len(writes) == 1


# Interruptions


def _before_write(clinic: Clinic, die: Callable[..., None]) -> None:
    clinic.telemetry.before_write = die


def _after_write(clinic: Clinic, die: Callable[..., None]) -> None:
    clinic.telemetry.after_write = die


def _before_commit(clinic: Clinic, die: Callable[..., None]) -> None:
    clinic.vault.before_commit = die


@pytest.mark.parametrize("cut", [_before_write, _after_write, _before_commit])
@pytest.mark.parametrize("is_withdrawn", [False, True])
def test_what_was_cut_off_is_found_again(
    clinic: Clinic, cut: Callable[[Clinic, Callable[..., None]], None], *, is_withdrawn: bool
) -> None:
    """
    After a kill at any step the gateway is found as unfinished, and completed as if never
    interrupted.
    """
    agent = clinic.enrol()
    subject, handle = clinic.accept(agent)
    if is_withdrawn:
        clinic.reconciler.reconcile([agent])
        clinic.withdraw(subject)

    def die(*_: object) -> None:
        clinic.telemetry.before_write = lambda changes: None
        clinic.telemetry.after_write = clinic.vault.before_commit = lambda: None
        raise Killed

    version_before = clinic.telemetry.versions.get(agent, 0)
    cut(clinic, die)
    with pytest.raises(Killed):
        clinic.reconciler.reconcile([agent])

    assert clinic.unfinished() == [agent]
    clinic.reconciler.reconcile([agent])
    assert clinic.unfinished() == []
    assert clinic.telemetry.handles_of(agent) == (set() if is_withdrawn else {handle})
    # A version that telemetry assigned and the vault did not record is not used again.
    assert clinic.lease_versions()[agent] == clinic.telemetry.versions[agent] > version_before


def test_a_server_that_is_away_leaves_everything_to_do(clinic: Clinic) -> None:
    """If telemetry is unreachable, no gateway is set aside, and all work remains."""
    agents = [clinic.enrol(), clinic.enrol()]
    for agent in agents:
        clinic.accept(agent)
    clinic.telemetry.refused = {agents[0]: TelemetryUnavailable("no connection")}

    with pytest.raises(TelemetryUnavailable):
        clinic.reconciler.reconcile(agents)

    assert clinic.set_aside() == {}
    assert clinic.unfinished() == agents


# Older and newer states


def test_telemetry_is_written_while_the_gateway_is_locked(clinic: Clinic) -> None:
    """The gateway's row is locked from reading the vault to writing telemetry."""
    agent = clinic.enrol()
    clinic.accept(agent)
    tried: list[str] = []

    def decide_meanwhile(_: Sequence[Change]) -> None:
        tried.append(agent)
        with pytest.raises(RuntimeError, match="a transaction is open"):
            clinic.accept(agent)

    clinic.telemetry.before_write = decide_meanwhile
    clinic.reconciler.reconcile([agent])

    assert tried == [agent]


def test_a_change_that_is_wanted_later_is_not_taken_for_done(clinic: Clinic) -> None:
    """The change that was read is recorded as applied, so that a later decision is found again."""
    agent = clinic.enrol()
    clinic.accept(agent)
    clinic.reconciler.reconcile([agent])
    subject, _ = clinic.accept(agent)
    clinic.withdraw(subject)

    with clinic.vault.transaction() as records:
        (found,) = records.agents.lock([agent])
    assert found.wanted - found.applied == 2
    assert clinic.unfinished() == [agent]


def test_a_vault_that_went_back_issues_no_version_again(clinic: Clinic) -> None:
    """After a restore of the vault the next lease is above every version in telemetry."""
    agent = clinic.enrol()
    clinic.accept(agent)
    backup = clinic.vault.tables
    for _ in range(3):
        clinic.reconciler.reconcile([agent], renew=True)
    clinic.vault.tables = backup

    assert clinic.reconciler.reconcile([agent]).versions == {agent: 4}


_ACTS = st.lists(
    st.sampled_from(["accept", "withdraw", "reconcile", "killed before", "killed after"]),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(acts=_ACTS)
def test_no_older_truth_is_written_after_a_newer_one(acts: list[str], keys: Keys) -> None:
    """
    After every decision and interruption, each write equals the state of the vault at that
    moment.
    """
    clinic = Clinic(keys)
    agent = clinic.enrol()
    people: list[tuple[UUID, bytes]] = []
    allowed: set[bytes] = set()
    versions = [0]

    def compare(changes: Sequence[Change]) -> None:
        (change,) = changes
        assert {permission.handle for permission in change.permissions} == allowed

    def die() -> None:
        raise Killed

    clinic.telemetry.before_write = compare
    for act in [*acts, "reconcile"]:
        clinic.wait(seconds=1)
        if act == "accept":
            people.append(clinic.accept(agent))
            allowed.add(people[-1][1])
        elif act == "withdraw" and people:
            subject, handle = people.pop()
            clinic.withdraw(subject)
            allowed.remove(handle)
        elif act == "reconcile":
            clinic.reconciler.reconcile([agent])
            assert clinic.telemetry.handles_of(agent) == allowed
        elif act.startswith("killed"):
            clinic.vault.before_commit = (
                die if act == "killed before" else clinic.vault.before_commit
            )
            clinic.telemetry.after_write = die if act == "killed after" else lambda: None
            try:
                clinic.reconciler.reconcile([agent])
            except Killed:
                pass
            clinic.vault.before_commit = clinic.telemetry.after_write = lambda: None
        versions.append(clinic.telemetry.versions.get(agent, 0))

    assert versions == sorted(versions)
    assert clinic.unfinished() == []


# One fault affects one unit


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (row_refused(), Cause.ROW_REFUSED),
        (RuntimeError("unforeseen"), Cause.UNFORESEEN),
        (LookupError("unforeseen"), Cause.UNFORESEEN),
    ],
)
def test_a_gateway_that_cannot_be_written_costs_only_itself(
    clinic: Clinic, error: Exception, cause: Cause
) -> None:
    """A gateway that cannot be written is set aside alone, and all others are reconciled."""
    agents = [clinic.enrol() for _ in range(3)]
    handles = {agent: clinic.accept(agent)[1] for agent in agents}
    faulty = agents[1]
    clinic.telemetry.refused = {faulty: error}

    done = clinic.reconciler.attempt(agents)

    assert done.left == {faulty}
    assert clinic.set_aside() == {faulty: {cause}}
    for agent in (agents[0], agents[2]):
        assert clinic.telemetry.handles_of(agent) == {handles[agent]}
    assert clinic.lease_versions().keys() == {agents[0], agents[2]}


def test_a_gateway_that_failed_waits_and_is_tried_again(clinic: Clinic) -> None:
    """A failed gateway is found again after its pause, and its record is deleted on success."""
    agent = clinic.enrol()
    _, handle = clinic.accept(agent)
    clinic.telemetry.refused = {agent: row_refused()}
    clinic.reconciler.attempt([agent])
    assert clinic.unfinished() == []

    clinic.wait(minutes=5)
    assert clinic.unfinished() == [agent]
    clinic.telemetry.refused = {}
    assert clinic.reconciler.attempt([agent]).failures == {}
    assert clinic.telemetry.handles_of(agent) == {handle}
    assert clinic.set_aside() == {}


def test_a_key_that_is_none_costs_its_gateway_the_lease_alone(clinic: Clinic) -> None:
    """
    A gateway with an invalid lease key gets permissions and no lease, and all others get
    theirs.
    """
    faulty, well = clinic.enrol(lease_key=bytes(32)), clinic.enrol()
    handles = {agent: clinic.accept(agent)[1] for agent in (faulty, well)}

    done = clinic.reconciler.attempt([faulty, well])

    assert clinic.set_aside() == {faulty: {Cause.LEASE_KEY}}
    assert done.left == set()
    assert clinic.lease_versions().keys() == {well}
    for agent, handle in handles.items():
        assert clinic.telemetry.handles_of(agent) == {handle}


@pytest.mark.parametrize("is_padded", [False, True])
def test_a_lease_that_became_too_large_is_not_kept(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, *, is_padded: bool
) -> None:
    """The sealed lease is measured itself: neither an estimate nor the padding is relied on."""
    agent, well = clinic.enrol(), clinic.enrol()
    for one in (agent, well):
        clinic.accept(one)
    limit = LeaseSettings().max_packet_bytes
    if is_padded:
        with clinic.vault.transaction() as records:
            assert records.leases.note_padded([agent]) == 1
        monkeypatch.setattr(leases, "multiple_bytes", lambda *_, **__: limit)
    else:
        clinic.reconciler.reconcile([agent, well])
        with clinic.vault.transaction() as records:
            (lease,) = records.leases.of([well])
            records.leases.mark_stale([well])
        clinic.accept(agent)
        fits = leases.sealed_packet_bytes(len(lease.sealed))
        settings = LeaseSettings(max_packet_bytes=fits)
        monkeypatch.setattr(clinic.reconciler, "_lease", settings)

    done = clinic.reconciler.attempt([agent, well])

    assert done.failures == {agent: {Failure(gateway(agent), Cause.LEASE_TOO_LARGE)}}
    assert clinic.lease_versions()[well] == done.versions[well]
    assert clinic.lease_versions().get(agent, 0) < done.versions[agent]


def test_a_damaged_person_keeps_what_they_had_and_costs_nobody_else(clinic: Clinic) -> None:
    """
    A damaged person's permissions are neither widened nor ended, and others at the gateway are
    reconciled.
    """
    agent = clinic.enrol()
    damaged, first = clinic.accept(agent)
    clinic.reconciler.reconcile([agent])
    for row in clinic.vault.tables.decisions:
        row.signature = secrets.token_bytes(64) if row.subject == damaged else row.signature
    leaving, second = clinic.accept(agent)
    _, third = clinic.accept(agent)
    clinic.withdraw(leaving)

    done = clinic.reconciler.attempt([agent])

    (failure,) = done.failures[agent]
    assert failure.unit == Unit(UnitKind.PERSON, str(damaged))
    assert done.left == set()
    assert clinic.telemetry.handles_of(agent) == {first, third}
    assert second not in clinic.telemetry.handles_of(agent)


def test_a_chain_that_lost_its_end_permits_nothing(clinic: Clinic) -> None:
    """A chain that has lost its end permits nothing, because the witness knows its length."""
    agent = clinic.enrol()
    subject, _ = clinic.accept(agent)
    _, other = clinic.accept(agent)
    clinic.witness.lengths[subject, PURPOSE] = 2

    clinic.reconciler.reconcile([agent])

    assert clinic.telemetry.handles_of(agent) == {other}


def test_an_exchanged_key_ends_what_its_gateway_may_send(clinic: Clinic) -> None:
    """
    If a lease key was replaced, no lease is sealed to the new one, and the gateway's permissions
    end.
    """
    agent, well = clinic.enrol(), clinic.enrol()
    for one in (agent, well):
        clinic.accept(one)
    clinic.reconciler.reconcile([agent, well])
    clinic.vault.tables.agents[agent].lease_key = new_lease_key()
    with clinic.vault.transaction() as records:
        records.leases.mark_stale([agent, well])

    done = clinic.reconciler.attempt([agent, well])

    assert [f.cause for f in done.failures[agent]] == [Cause.REGISTRATION]
    assert done.versions.keys() == {well}
    with clinic.vault.transaction() as records:
        failed = records.set_aside.of_agents(Work.LEASE, [agent])
    assert {f.unit for f in failed[agent]} == {gateway(agent)}


def test_a_row_that_cannot_be_read_costs_its_person_alone(clinic: Clinic) -> None:
    """The gateway gets its lease, without the handle; what is permitted of them stays."""
    agent = clinic.enrol()
    damaged, held = clinic.accept(agent)
    clinic.reconciler.reconcile([agent])
    _, handle = clinic.accept(agent)
    clinic.vault.tables.damaged.add(damaged)

    done = clinic.reconciler.attempt([agent])

    person = Unit(UnitKind.PERSON, str(damaged))
    assert done.failures == {agent: {Failure(person, Cause.ROW_REFUSED)}}
    assert done.versions == {agent: 2}
    assert clinic.telemetry.handles_of(agent) == {held, handle}

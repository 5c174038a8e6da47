"""Sensors without a server: bound, exchanged and unbound, with decisions left as they are."""

import datetime as dt
from uuid import UUID

import msgspec
import pytest

from tests.support.clinic import Clinic
from tests.support.vault_rows import PURPOSE, add_handle, add_subject, decide, purpose
from trust.consent import bindings
from trust.consent.sensors import Sensors
from trust.decisions.decisions import State
from trust.decisions.permissions import Permission
from trust.errors import Conflict, NotFound, Refused
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler

OLD, NEW, OTHER = (f"C0:FF:EE:00:00:0{n}" for n in (1, 2, 3))
STUDY = "study"
_MONTH = dt.timedelta(days=30)


class _Open:
    def ensure(self) -> None:
        """Let everything pass."""


@pytest.fixture
def clinic(keys: Keys) -> Clinic:
    """A clinic with two purposes."""
    made = Clinic(keys)
    with made.vault.transaction() as records:
        records.purposes.add(purpose())
        records.purposes.add(msgspec.structs.replace(purpose(), name=STUDY))
    made.wait(seconds=1)
    return made


@pytest.fixture
def sensors(clinic: Clinic) -> Sensors:
    """What binds sensors in it."""
    return Sensors(clinic.vault, Reconciler(clinic.reconciler, _Open()), clock=clinic.now)


def person(clinic: Clinic) -> UUID:
    """Return a person who accepted the demo's purpose."""
    with clinic.vault.transaction() as records:
        subject = add_subject(records)
        decide(records, subject, at=clinic.at)
    clinic.wait(seconds=1)
    return subject


def permitted(clinic: Clinic, agent: str) -> dict[bytes, Permission]:
    """Return what may be stored, by handle."""
    return {one.handle: one for one in clinic.telemetry.permitted.get(agent, [])}


def live(clinic: Clinic, agent: str) -> list[tuple[list[str], list[str]]]:
    """Return what is bound, and what was, of each live handle."""
    with clinic.vault.transaction() as records:
        return sorted((h.bindings, h.unbound) for h in bindings.readable(records, agent))


def test_each_sensor_has_a_handle_and_a_source(clinic: Clinic, sensors: Sensors) -> None:
    """Two sensors of a person are two handles of one pseudonym, told apart by their sources."""
    agent, subject = clinic.enrol(), person(clinic)

    for sensor in (OLD, NEW):
        sensors.bind(subject, agent, sensor, purposes=[])

    one, two = permitted(clinic, agent).values()
    assert one.pseudonym == two.pseudonym
    assert one.handle != two.handle
    assert 0 not in {one.source, two.source}
    assert one.source != two.source


def test_a_sensor_is_the_same_source_at_each_gateway(clinic: Clinic, sensors: Sensors) -> None:
    """Two gateways that hear one sensor have two handles of one source; purposes share none."""
    agents, subject = [clinic.enrol(), clinic.enrol()], person(clinic)
    with clinic.vault.transaction() as records:
        accepted = records.decisions.chain(subject, PURPOSE)[-1]
        study = msgspec.structs.replace(accepted, decision=UUID(int=7), purpose=STUDY)
        records.decisions.add(study)

    for agent in agents:
        sensors.bind(subject, agent, OLD, purposes=[])

    found = [{(p.purpose, p.source) for p in permitted(clinic, a).values()} for a in agents]
    assert found[0] == found[1]
    assert len({source for _, source in found[0]}) == 2


def test_an_exchange_takes_no_decision(clinic: Clinic, sensors: Sensors) -> None:
    """The new sensor measures; of the old one only what it measured before may be stored."""
    agent, subject = clinic.enrol(), person(clinic)
    begun = sensors.bind(subject, agent, OLD, purposes=[]).begun[0].handle
    clinic.wait(days=10)

    done = sensors.replace(agent, OLD, NEW)

    assert done.subject == subject
    assert [h.bindings for h in done.ended] == [[OLD]]
    assert live(clinic, agent) == [([], [OLD]), ([NEW], [])]
    found = permitted(clinic, agent)
    assert found.pop(begun).measured_to == clinic.at
    assert [one.measured_to for one in found.values()] == [None]
    with clinic.vault.transaction() as records:
        assert len(records.decisions.chain(subject, PURPOSE)) == 1


def test_what_was_unbound_is_forgotten_in_time(clinic: Clinic, sensors: Sensors) -> None:
    """After a month nothing that it measured can come any more, and its permission ends."""
    agent, subject = clinic.enrol(), person(clinic)
    sensors.bind(subject, agent, OLD, purposes=[])
    (handle,) = permitted(clinic, agent)
    sensors.unbind(agent, OLD)
    assert set(permitted(clinic, agent)) == {handle}

    clinic.at += _MONTH
    clinic.reconciler.reconcile([agent], renew=True)

    assert permitted(clinic, agent) == {}


def test_a_sensor_that_comes_back_is_the_source_it_was(clinic: Clinic, sensors: Sensors) -> None:
    """A sensor that is unbound and bound again gets another handle, and the same source."""
    agent, subject = clinic.enrol(), person(clinic)
    sensors.bind(subject, agent, OLD, purposes=[])
    sensors.unbind(agent, OLD)
    sensors.bind(subject, agent, OLD, purposes=[])

    found = permitted(clinic, agent).values()
    assert len(found) == 2
    assert len({one.source for one in found}) == 1


def test_a_withdrawal_ends_every_sensor(clinic: Clinic, sensors: Sensors) -> None:
    """Also those that are unbound and may still be sent."""
    agent, subject = clinic.enrol(), person(clinic)
    for sensor in (OLD, NEW):
        sensors.bind(subject, agent, sensor, purposes=[])
    sensors.unbind(agent, OLD)

    clinic.wait(seconds=1)
    clinic.withdraw(subject)
    clinic.reconciler.reconcile([agent])

    assert permitted(clinic, agent) == {}
    assert live(clinic, agent) == []


def test_an_unbound_sensor_may_measure_somebody_else(clinic: Clinic, sensors: Sensors) -> None:
    """A strap of the ward goes from one person to the next, and not to two at once."""
    agent, one, next_one = clinic.enrol(), person(clinic), person(clinic)
    sensors.bind(one, agent, OLD, purposes=[])
    with pytest.raises(Conflict, match="another person"):
        sensors.bind(next_one, agent, OLD, purposes=[])
    sensors.unbind(agent, OLD)
    sensors.bind(next_one, agent, OLD, purposes=[])

    with pytest.raises(Conflict, match="another person"):
        sensors.bind(one, agent, OLD, purposes=[])


@pytest.mark.parametrize(
    ("first", "second", "is_possible"),
    [
        pytest.param(f"{OLD}#1", f"{OLD}#2", True, id="two users"),
        pytest.param(f"{OLD}#1", f"{OLD}#1", False, id="one user"),
        pytest.param(OLD, f"{OLD}#2", False, id="all users, and one"),
        pytest.param(f"{OLD}#2", OLD, False, id="one, and all users"),
    ],
)
def test_people_share_a_sensor_by_its_users_alone(
    clinic: Clinic, sensors: Sensors, first: str, second: str, is_possible: bool
) -> None:
    """Two people are told apart by a cuff that tells both of them apart."""
    agent = clinic.enrol()
    sensors.bind(person(clinic), agent, first, purposes=[])
    two = person(clinic)
    if is_possible:
        sensors.bind(two, agent, second, purposes=[])
        assert [bound for bound, _ in live(clinic, agent)] == [[first], [second]]
    else:
        with pytest.raises(Conflict):
            sensors.bind(two, agent, second, purposes=[])
        assert [bound for bound, _ in live(clinic, agent)] == [[first]]


def test_one_of_several_bindings_ends_alone(clinic: Clinic, sensors: Sensors) -> None:
    """Of a handle of before, with several sensors, the others go on, each with its own handle."""
    agent = clinic.enrol()
    with clinic.vault.transaction() as records:
        subject = add_subject(records)
        before = add_handle(records, decide(records, subject, at=clinic.at), agent)
        records.handles.delete([before.handle])
        both = msgspec.structs.replace(before, bindings=[OLD, OTHER])
        records.handles.add(both, data_key=records.subjects.data_key(subject))
        records.leases.mark_stale([agent])
    clinic.reconciler.reconcile([agent])
    assert [one.source for one in permitted(clinic, agent).values()] == [0]

    sensors.replace(agent, OLD, NEW)

    assert live(clinic, agent) == [([], [OLD, OTHER]), ([NEW], []), ([OTHER], [])]


@pytest.mark.parametrize(
    "state", [None, State.WITHDRAWN, State.REFUSED, State.RESTRICTED], ids=str
)
def test_a_sensor_adds_nothing_to_what_was_agreed(
    clinic: Clinic, sensors: Sensors, state: State | None
) -> None:
    """Without an accepted decision in force nothing is bound."""
    agent = clinic.enrol()
    with clinic.vault.transaction() as records:
        subject = add_subject(records)
        if state is not None:
            decide(records, subject, at=clinic.at)
            decide(records, subject, state, at=clinic.at)

    with pytest.raises(Conflict, match="no accepted decision"):
        sensors.bind(subject, agent, OLD, purposes=[] if state is None else [PURPOSE])

    assert live(clinic, agent) == []


def test_what_is_not_bound_cannot_be_ended(clinic: Clinic, sensors: Sensors) -> None:
    """Another address, user or gateway is refused, and nothing changes."""
    agent, elsewhere, subject = clinic.enrol(), clinic.enrol(), person(clinic)
    sensors.bind(subject, agent, f"{OLD}#1", purposes=[])
    before = permitted(clinic, agent)

    for at, sensor in ((agent, NEW), (agent, OLD), (agent, f"{OLD}#2"), (elsewhere, f"{OLD}#1")):
        with pytest.raises(NotFound):
            sensors.unbind(at, sensor)
        with pytest.raises(NotFound):
            sensors.replace(at, sensor, OTHER)
    with pytest.raises(Conflict):
        sensors.replace(agent, f"{OLD}#1", f"{OLD}#1")

    assert permitted(clinic, agent) == before


def test_sensors_are_listed_with_their_ends(clinic: Clinic, sensors: Sensors) -> None:
    """By person and by gateway; a record that does not open is listed without its sensor."""
    agent, one, two = clinic.enrol(), person(clinic), person(clinic)
    sensors.bind(one, agent, f"{OLD}#2", purposes=[])
    sensors.replace(agent, f"{OLD}#2", NEW)
    sensors.bind(two, agent, OTHER, purposes=[])

    found = sensors.bound(subject=one, agent=None)
    assert sorted((str(b.sensor), b.unbound_at is None) for b in found) == [
        (f"{OLD}#2", False), (NEW, True),
    ]  # fmt: skip
    assert len(sensors.bound(subject=None, agent=agent)) == 3
    for row in clinic.vault.tables.handles.values():
        row.sealed_bindings = b""
    assert {b.sensor for b in sensors.bound(subject=None, agent=agent)} == {None}


@pytest.mark.parametrize(
    ("text", "user", "expected"),
    [
        pytest.param("c0:ff:ee:00:00:01", None, OLD, id="any case"),
        pytest.param(OLD, 2, f"{OLD}#2", id="a user apart"),
        pytest.param(f"{OLD}#2", None, f"{OLD}#2", id="a user in it"),
        pytest.param(OLD, 0, f"{OLD}#0", id="users may count from 0"),
        pytest.param(f"{OLD}#2", 2, None, id="a user twice"),
        pytest.param(OLD, 255, None, id="an unknown user"),
        pytest.param(OLD, -1, None, id="no user"),
        pytest.param(f"{OLD}#255", None, None, id="an unknown user in it"),
        pytest.param(f"{OLD}#x", None, None, id="no number"),
        pytest.param("Ada's strap", None, None, id="no address"),
    ],
)
def test_a_binding_is_an_address_and_perhaps_a_user(
    text: str, user: int | None, expected: str | None
) -> None:
    """Everything else is refused, and never quoted."""
    if expected is not None:
        assert bindings.parse(text, user=user) == expected
    else:
        with pytest.raises(Refused) as refusal:
            bindings.parse(text, user=user)
        assert "Ada" not in str(refusal.value)

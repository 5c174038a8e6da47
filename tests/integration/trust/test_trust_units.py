"""A faulty unit is set aside alone, at its gateway and for its person; all other work is done."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest

from simulators.stack.trust_shell import INVENTED_YES
from tests.fixtures.vault import Office, Refusal
from tests.support import poisons
from tests.support.poisons import LOW_ORDER, POISONS, set_aside, want
from trust.composition import App
from trust.domain.units import Cause

pytestmark = pytest.mark.database

SMALL = 4096
"""The largest packet of the broker in this test: a lease for 28 people does not fit."""


@pytest.fixture
def clinic(office: Office) -> Office:
    """An office whose broker accepts only small leases."""
    lease = msgspec.structs.replace(office.settings.lease, max_packet_bytes=SMALL)
    office.settings = msgspec.structs.replace(office.settings, lease=lease)
    office.app.close()
    office.app = App(office.settings)
    office.load_policy()
    return office


def _measured(office: Office, agent: str, binding: str) -> str:
    subject = office.add_subject()
    office.accept(subject, agent, binding=binding)
    return subject


def _permitted(office: Office, handle: str) -> bool:
    found = office.telemetry.fetch(
        "SELECT FROM vv.permissions WHERE withdrawn_at IS NULL AND handle = %s",
        bytes.fromhex(handle),
    )
    return bool(found)


@pytest.mark.parametrize("name", POISONS)
def test_a_fault_costs_its_owner_alone(clinic: Office, name: str) -> None:
    """Other people get their lease, and a withdrawal at the same gateway takes effect."""
    plant, cause = POISONS[name]
    agent, bundle = clinic.enrol()
    others = [clinic.enrol() for _ in range(3)]
    at_fault = clinic.add_subject()
    held = clinic.accept(at_fault, agent, binding="C0:FF:EE:00:00:01")["handle"]
    neighbour = clinic.add_subject()
    handle = clinic.accept(neighbour, agent, binding="C0:FF:EE:00:00:02")["handle"]
    for other, _ in others:
        _measured(clinic, other, "C0:FF:EE:00:00:01")
    before = {other: clinic.lease(other, kept).version for other, kept in others}
    plant(clinic, agent, at_fault)
    # From here on as in a new process, without any cached record.
    clinic.app.close()
    clinic.app = App(clinic.settings)
    everybody = [agent, *before]
    want(clinic, *everybody)

    done = clinic.app.reconciler.attempt(everybody)

    assert {f.cause for f in done.failures[agent]} == {cause}
    assert done.failures.keys() == {agent}
    assert set_aside(clinic) == {agent: {cause}}
    for other, kept in others:
        assert clinic.lease(other, kept).version == before[other] + 1
    assert _permitted(clinic, handle)
    clinic.withdraw(neighbour)
    assert not _permitted(clinic, handle)
    # Existing permissions are not ended either, because the missing file may come back.
    assert _permitted(clinic, held)
    leased = {grant.handle.hex() for grant in clinic.lease(agent, bundle).grants}
    if cause in (Cause.TAMPERED, Cause.UNUSABLE, Cause.KEY_FILE):
        assert handle not in leased


@pytest.mark.parametrize("name", [n for n in POISONS if n.startswith(("a policy", "a key"))])
def test_what_one_purpose_needs_stops_no_other(clinic: Office, name: str) -> None:
    """If one purpose of a person cannot be processed, measuring for another purpose continues."""
    agent, bundle = clinic.enrol()
    subject = clinic.add_subject()
    handle = clinic.accept(subject, agent)["handle"]
    POISONS[name][0](clinic, agent, subject)
    clinic.app.close()
    clinic.app = App(clinic.settings)

    clinic.app.reconciler.attempt([agent], renew=True)

    assert [g.handle.hex() for g in clinic.lease(agent, bundle).grants] == [handle]
    assert _permitted(clinic, handle)


def test_a_key_that_comes_back_ends_the_matter(clinic: Office) -> None:
    """When a missing key comes back, the unit is tried again and the lease is complete."""
    agent, bundle = clinic.enrol()
    subject = clinic.add_subject()
    clinic.accept(subject, agent)
    POISONS["a key that is missing"][0](clinic, agent, subject)
    name = clinic.vault.fetch("SELECT purpose FROM vault.epochs")[0][0]
    clinic.app.close()
    clinic.app = App(clinic.settings)
    clinic.app.reconciler.attempt([agent], renew=True)
    version = clinic.lease(agent, bundle).version
    assert set_aside(clinic) == {agent: {Cause.KEY_FILE}}
    for _ in range(2):
        clinic.run("unit", "retry")
        assert clinic.app.reconciler.unfinished(older_than=dt.timedelta(0), limit=9) == [agent]
        clinic.app.reconciler.attempt([agent])
    # An unchanged failure issues no new lease every few minutes.
    assert clinic.lease(agent, bundle).version == version

    clinic.app.keys.begin_epoch(purpose=str(name), epoch=2)
    clinic.run("unit", "retry")
    clinic.app.reconciler.attempt(
        clinic.app.reconciler.unfinished(older_than=dt.timedelta(0), limit=9)
    )

    assert set_aside(clinic) == {}
    assert len(clinic.lease(agent, bundle).grants) == 2


def test_what_failed_waits_and_what_is_new_does_not(clinic: Office) -> None:
    """A gateway that is set aside takes no place in a round until a new decision is made there."""
    agent, _ = clinic.enrol()
    subject = _measured(clinic, agent, "C0:FF:EE:00:00:01")
    POISONS["a version that telemetry does not take"][0](clinic, agent, subject)
    want(clinic, agent)
    clinic.app.reconciler.attempt([agent])

    assert clinic.app.reconciler.unfinished(older_than=dt.timedelta(0), limit=9) == []
    want(clinic, agent)
    assert clinic.app.reconciler.unfinished(older_than=dt.timedelta(0), limit=9) == [agent]


def test_what_fails_again_waits_longer(clinic: Office) -> None:
    """Consecutive failures are counted, and the pauses grow."""
    agent = poisons.enrol_with(clinic, bytes(32))
    with poisons.unchecked():
        clinic.accept(clinic.add_subject(), agent)
    waits: list[tuple[int, dt.timedelta]] = []
    for _ in range(5):
        clinic.app.reconciler.attempt([agent])
        ((failures, wait),) = clinic.vault.fetch(
            "SELECT failures, next_attempt_at - failed_at FROM vault.set_aside"
        )
        assert isinstance(failures, int)
        assert isinstance(wait, dt.timedelta)
        waits.append((failures, wait))
        want(clinic, agent)

    first = waits[0][0]
    assert [failures for failures, _ in waits] == list(range(first, first + 5))
    assert waits[4][1] > waits[2][1] > waits[0][1]


def test_the_list_names_the_unit_and_the_remedy(clinic: Office) -> None:
    """The list shows gateway, cause, time and remedy of each unit, and no person's name."""
    agent = poisons.enrol_with(clinic, bytes(32))
    with poisons.unchecked():
        clinic.accept(clinic.add_subject("Ada Canary"), agent)

    listed = clinic.run("unit", "list")

    (row,) = listed["rows"]
    assert (row["kind"], row["unit"], row["cause"]) == ("gateway", agent, "lease_key")
    assert "enrol it again" in row["remedy"]
    assert listed["problems"] == 1
    assert "Canary" not in str(listed)


def test_what_an_operator_is_told_to_do_ends_the_matter(clinic: Office) -> None:
    """A gateway without a key that an operator revokes is no longer set aside."""
    agent = poisons.enrol_with(clinic, bytes(32))
    with poisons.unchecked():
        clinic.accept(clinic.add_subject(), agent)
    assert set_aside(clinic) == {agent: {Cause.LEASE_KEY}}

    clinic.run("pki", "revoke", agent, "--yes")

    assert set_aside(clinic) == {}
    assert clinic.telemetry.fetch("SELECT revoked_at IS NOT NULL FROM vv.agents") == [(True,)]


@pytest.mark.parametrize("number", LOW_ORDER)
def test_nobody_is_measured_at_a_gateway_without_a_key(clinic: Office, number: int) -> None:
    """A consent at a gateway whose lease key is invalid is refused, and not recorded."""
    agent = poisons.enrol_with(clinic, number.to_bytes(32, "little"))

    with pytest.raises(Refusal, match="not a key that anything can be sealed to"):
        clinic.accept(clinic.add_subject(), agent)

    assert clinic.vault.fetch("SELECT count(*) FROM vault.decisions") == [(0,)]


def test_a_lease_that_would_be_too_large_is_refused(clinic: Office) -> None:
    """A consent that would make a lease too large is refused with the remedy, and not recorded."""
    agent, bundle = clinic.enrol()
    taken = 0

    def accept_all() -> None:
        nonlocal taken
        for person in range(28):
            first, *more = (f"AA:00:00:00:{person:02X}:{n:02X}" for n in range(4))
            flags = [word for binding in more for word in ("--binding", binding)]
            clinic.accept(clinic.add_subject(), agent, *flags, binding=first)
            taken += 1

    with pytest.raises(Refusal, match="max_packet_size"):
        accept_all()

    assert clinic.vault.fetch("SELECT count(*) FROM vault.decisions") == [(taken,)]
    assert len(clinic.lease(agent, bundle).grants) == 4 * taken
    (size,) = clinic.vault.fetch("SELECT octet_length(lease) FROM vault.agents")[0]
    assert SMALL * 0.8 < int(str(size)) < SMALL


def test_a_missing_key_refuses_the_decision_that_needs_it(clinic: Office, tmp_path: Path) -> None:
    """
    Without the key of its purpose a consent is refused and not recorded; one for another purpose
    is accepted.
    """
    agent, _ = clinic.enrol()
    subject = clinic.add_subject()
    POISONS["a key that is missing"][0](clinic, agent, subject)
    name = str(clinic.vault.fetch("SELECT purpose FROM vault.epochs")[0][0])
    clinic.app.close()
    clinic.app = App(clinic.settings)
    other = clinic.add_subject()
    before = clinic.vault.fetch("SELECT count(*) FROM vault.decisions")

    with pytest.raises(Refusal, match="pseudonym-root"):
        clinic.run(
            "decision", "record", "--subject", other, "--purpose", f"{name}@1",
            "--agent", agent, "--binding", "C0:FF:EE:00:00:77", *INVENTED_YES,
        )  # fmt: skip

    assert clinic.vault.fetch("SELECT count(*) FROM vault.decisions") == before
    clinic.accept(other, agent, binding="C0:FF:EE:00:00:78")


@pytest.mark.parametrize("damage", ["mode", "contents"])
def test_a_damaged_key_is_not_taken_for_a_destroyed_one(clinic: Office, damage: str) -> None:
    """
    A damaged key is not mistaken for a destroyed one, because its data would be missing in exports
    and erasures.
    """
    agent, _ = clinic.enrol()
    subject = clinic.add_subject()
    POISONS["a key that is damaged"][0](clinic, agent, subject)
    (purpose,) = clinic.vault.fetch("SELECT purpose FROM vault.epochs")[0]
    file = poisons.key_file(clinic, str(purpose))
    if damage == "mode":
        clinic.app.keys.destroy_epoch(purpose=str(purpose), epoch=2)
        clinic.app.keys.begin_epoch(purpose=str(purpose), epoch=2)
        file.chmod(0o644)
    clinic.app.close()
    clinic.app = App(clinic.settings)

    with pytest.raises(Refusal, match="pseudonym-root"):
        clinic.run("restrict", subject)

    file.unlink()
    clinic.run("restrict", subject)


def test_an_error_that_nobody_foresaw_costs_one_gateway(
    clinic: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An unexpected error at one gateway is logged by its type, and the work for others
    continues.
    """
    agents = [clinic.enrol() for _ in range(4)]
    for agent, _ in agents:
        _measured(clinic, agent, "C0:FF:EE:00:00:01")
    bad = agents[1][0]
    unguarded = clinic.app.reconciler._unguarded
    seal = unguarded._seal

    def broken(plan: object, *arguments: object, **more: object) -> object:
        if plan.agent.agent == bad:  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return seal(plan, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(unguarded, "_seal", broken)
    want(clinic, *(agent for agent, _ in agents))

    clinic.app.reconciler.attempt([agent for agent, _ in agents])

    assert set_aside(clinic) == {bad: {Cause.UNFORESEEN}}
    assert [clinic.lease(*one).version for one in agents] == [2, 1, 2, 2]


def test_databases_that_are_away_set_nobody_aside(clinic: Office) -> None:
    """An unreachable database sets no unit aside."""
    agent, _ = clinic.enrol()
    _measured(clinic, agent, "C0:FF:EE:00:00:01")
    want(clinic, agent)
    telemetry = msgspec.structs.replace(
        clinic.settings.telemetry, dsn="host=127.0.0.1 port=1 dbname=x user=vv_trust"
    )
    away = App(msgspec.structs.replace(clinic.settings, telemetry=telemetry))

    with pytest.raises(Exception, match="the telemetry database cannot be used: no server"):
        away.reconciler.attempt([agent])

    away.close()
    assert set_aside(clinic) == {}


def test_an_erasure_waits_for_a_lease_that_names_the_person(clinic: Office) -> None:
    """
    An erasure is not certified while the broker may retain an older lease of the
    person's gateway.
    """
    agent, _ = clinic.enrol()
    subject = _measured(clinic, agent, "C0:FF:EE:00:00:01")
    POISONS["a version that telemetry does not take"][0](clinic, agent, subject)
    want(clinic, agent)
    clinic.app.reconciler.attempt([agent])
    with clinic.app.vault.transaction() as records:
        assert records.set_aside.keeps_lease([agent])
        assert not records.set_aside.keeps_lease([clinic.enrol()[0]])


def test_what_is_withdrawn_while_a_gateway_is_set_aside_does_not_wait(clinic: Office) -> None:
    """
    A withdrawal at a gateway that is set aside is completed by the daemon at once, not at the next
    attempt.
    """
    agent, _ = clinic.enrol()
    subject = _measured(clinic, agent, "C0:FF:EE:00:00:01")
    POISONS["a version that telemetry does not take"][0](clinic, agent, subject)
    want(clinic, agent)
    clinic.app.reconciler.attempt([agent])
    clinic.vault.execute("UPDATE vault.set_aside SET failures = 12")
    daemon = App(clinic.settings)
    want(clinic, agent)
    with (
        psycopg.connect(clinic.vault.dsn()) as holder,
        ThreadPoolExecutor(1) as thread,
    ):
        holder.execute("LOCK TABLE vault.set_aside IN SHARE MODE")
        trying = thread.submit(daemon.reconciler.attempt, [agent])
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        while clinic.vault.fetch(waits, "vault.set_aside") == [(0,)]:
            assert not trying.done()
        # As by a command that is killed before it writes to telemetry.
        clinic.app.consent.record_withdrawn(UUID(subject), "home-monitoring")
        holder.rollback()
        failures = trying.result(60).failures
    daemon.close()

    assert agent in failures
    (wait,) = clinic.vault.fetch("SELECT next_attempt_at - failed_at FROM vault.set_aside")[0]
    assert isinstance(wait, dt.timedelta)
    assert wait > dt.timedelta(minutes=1)
    assert clinic.app.reconciler.unfinished(older_than=dt.timedelta(0), limit=9) == [agent]

"""A damaged page or row in the vault's files costs the person it is about, and no one else."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from simulators.stack.postgres import Postgres
from tests.fixtures.database import create_database, programs
from tests.fixtures.vault import Office, Refusal, create_vault, make_office
from tests.support.databases.damage import damage_page, damage_value, spread_rows
from tests.support.databases.servers import alter
from tests.support.poisons import set_aside, want
from trust.composition import App
from trust.domain.units import Cause
from trust.errors import Unavailable

pytestmark = pytest.mark.database

_SUBJECT = "SELECT wrapped_key FROM vault.subjects WHERE subject = %s"
_DECISION = (
    "SELECT document FROM vault.decisions WHERE subject = %s ORDER BY position DESC LIMIT 1"
)
Damage = Callable[[Postgres, Office, str], None]


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[Postgres]:
    """A server that may be damaged, which checks no page by its checksum."""
    server = Postgres(folder=run_folder / "damaged", programs=programs())
    server.start()
    alter(server, ignore_checksum_failure="on")
    yield server
    server.stop()


@pytest.fixture
def clinic(server: Postgres, tmp_path: Path) -> Iterator[Office]:
    """An office on that server, whose rows are on pages of their own, as those of many people."""
    office = make_office(create_vault(server, tmp_path), create_database(server), tmp_path)
    for table in ("vault.subjects", "vault.decisions"):
        spread_rows(office.vault, table)
    office.load_policy()
    yield office
    office.app.close()


def _value(office: Office, query: str, name: str) -> bytes:
    ((value,),) = office.vault.fetch(query, name)
    assert isinstance(value, bytes)
    return value


def _subject_page(server: Postgres, office: Office, subject: str) -> None:
    key = _value(office, _SUBJECT, subject)
    damage_page(server, office.vault, "vault.subjects", key)


def _decision_page(server: Postgres, office: Office, subject: str) -> None:
    document = _value(office, _DECISION, subject)
    damage_page(server, office.vault, "vault.decisions", document)


def _decision_value(server: Postgres, office: Office, subject: str) -> None:
    document = _value(office, _DECISION, subject)
    damage_value(server, office.vault, "vault.decisions", document)


def _restarted(office: Office) -> None:
    office.app.close()
    office.app = App(office.settings)


def _permitted(office: Office, handle: str) -> bool:
    return bool(
        office.telemetry.fetch(
            "SELECT FROM vv.permissions WHERE withdrawn_at IS NULL AND handle = %s",
            bytes.fromhex(handle),
        )
    )


@pytest.mark.parametrize("damage", [_subject_page, _decision_page, _decision_value])
def test_a_damaged_row_costs_its_person_alone(
    server: Postgres, clinic: Office, damage: Damage
) -> None:
    """Others get what was decided, at the same gateway too; the damaged person keeps theirs."""
    (shared, bundle), (other, other_bundle) = clinic.enrol(), clinic.enrol()
    damaged, neighbour, third = (clinic.add_subject() for _ in range(3))
    held = clinic.accept(damaged, shared, binding="C0:FF:EE:00:00:01")["handle"]
    kept = clinic.accept(neighbour, shared, binding="C0:FF:EE:00:00:02")["handle"]
    clinic.accept(third, other, binding="C0:FF:EE:00:00:03")
    before = {a: clinic.lease(a, b).version for a, b in ((shared, bundle), (other, other_bundle))}
    damage(server, clinic, damaged)
    _restarted(clinic)
    want(clinic, shared, other)

    done = clinic.app.reconciler.attempt([shared, other])

    (failure,) = done.failures[shared]
    assert (failure.unit.name, failure.cause) == (damaged, Cause.ROW_REFUSED)
    assert done.failures.keys() == {shared}
    assert set_aside(clinic) == {shared: {Cause.ROW_REFUSED}}
    lease = clinic.lease(shared, bundle)
    assert lease.version == before[shared] + 1
    assert [grant.handle.hex() for grant in lease.grants] == [kept]
    assert clinic.lease(other, other_bundle).version == before[other] + 1
    assert _permitted(clinic, held)
    # A decision of another person, at the same gateway, is recorded and takes effect.
    newcomer = clinic.add_subject()
    clinic.accept(newcomer, shared, binding="C0:FF:EE:00:00:04")
    assert len(clinic.lease(shared, bundle).grants) == 2
    clinic.withdraw(neighbour)
    assert not _permitted(clinic, kept)


@pytest.mark.parametrize("damage", [_decision_page, _decision_value])
def test_a_damaged_decision_does_not_keep_the_telemetry_closed(
    server: Postgres, clinic: Office, damage: Damage
) -> None:
    """After a restart the database is cleared; of the damaged person, nothing is shown."""
    agent, _ = clinic.enrol()
    damaged, lifted, restricted = (clinic.add_subject() for _ in range(3))
    for number, subject in enumerate((damaged, lifted, restricted)):
        clinic.accept(subject, agent, binding=f"C0:FF:EE:00:00:0{number}")
    for subject in (damaged, lifted, restricted):
        clinic.run("restrict", subject)
    clinic.run("unrestrict", lifted)
    hidden = "SELECT count(DISTINCT pseudonym) FROM vv.series WHERE restricted_at IS NOT NULL"
    clinic.telemetry.execute("UPDATE vv.series SET restricted_at = NULL")

    damage(server, clinic, damaged)
    _restarted(clinic)
    clinic.app.reconciler.check()

    assert clinic.telemetry.fetch("SELECT vv.is_cleared()") == [(True,)]
    assert clinic.telemetry.fetch(hidden) == [(2,)]


def test_a_damaged_decision_ends_no_audit(server: Postgres, clinic: Office) -> None:
    """The audit names the person whose decisions cannot be read, and reads all others."""
    agent, _ = clinic.enrol()
    damaged, well = clinic.add_subject(), clinic.add_subject()
    for number, subject in enumerate((damaged, well)):
        clinic.accept(subject, agent, binding=f"C0:FF:EE:00:00:0{number}")
    _decision_value(server, clinic, damaged)
    _restarted(clinic)

    assert [str(subject) for subject, _ in clinic.app.audit.read().broken] == [damaged]


@pytest.mark.parametrize("damage", [_subject_page, _decision_page, _decision_value])
def test_a_damaged_person_can_still_withdraw(
    server: Postgres, clinic: Office, damage: Damage
) -> None:
    """What was permitted of them ends; if it cannot be recorded, that is said."""
    agent, _ = clinic.enrol()
    damaged = clinic.add_subject()
    handle = clinic.accept(damaged, agent)["handle"]
    damage(server, clinic, damaged)
    _restarted(clinic)

    with contextlib.suppress(Refusal):
        clinic.withdraw(damaged)

    assert not _permitted(clinic, handle)


def test_a_person_like_a_damaged_one_is_added_if_asked(server: Postgres, clinic: Office) -> None:
    """Whether they are the same person cannot be known: --even-if-alike says that they are not."""
    damaged = clinic.add_subject("Bo")
    clinic.add_subject("Ada")
    _subject_page(server, clinic, damaged)
    _restarted(clinic)

    with pytest.raises(Refusal, match="--even-if-alike"):
        clinic.run("subject", "add", "--name", "Bo", "--born", "1980-01")
    clinic.run("subject", "add", "--name", "Cy", "--born", "1980-01")
    clinic.add_subject("Bo")


def test_a_damaged_person_who_was_erased_costs_no_one_else(
    server: Postgres, clinic: Office
) -> None:
    """That their key is still destroyed cannot be seen: they are set aside, and others go on."""
    agent, bundle = clinic.enrol()
    # What is left of an erased person is short, and shares the page of the next one.
    erased, _, other = (clinic.add_subject() for _ in range(3))
    clinic.accept(other, agent)
    clinic.run("erase", erased, "--scope", "all", "--yes")
    before = clinic.lease(agent, bundle).version
    number = clinic.vault.fetch("SELECT number FROM vault.erasures")[0][0]
    damage_page(server, clinic.vault, "vault.subjects", UUID(erased).bytes)
    _restarted(clinic)
    want(clinic, agent)

    assert clinic.app.reconciler.attempt([agent]).failures == {}
    assert clinic.lease(agent, bundle).version == before + 1
    assert clinic.app.verifier.look().back == {number: ["vault identity"]}


def test_a_server_that_is_away_is_no_damaged_row(server: Postgres, clinic: Office) -> None:
    """A failure of a stopped server is the server's: no one is set aside."""
    agent, _ = clinic.enrol()
    clinic.accept(clinic.add_subject(), agent)
    want(clinic, agent)
    server.stop()
    try:
        with pytest.raises(Unavailable) as away:
            clinic.app.reconciler.attempt([agent])
        assert not away.value.is_of_a_row
    finally:
        server.start()
    assert set_aside(clinic) == {}
    assert clinic.app.reconciler.attempt([agent]).failures == {}

"""One sensor for two purposes, and one purpose at two gateways."""

from pathlib import Path

import msgspec
import pytest

from simulators.stack.trust_shell import INVENTED_YES
from tests.fixtures.vault import Office, Refusal
from wire.lease import Lease
from wire.policy import Aggregate, Rule

pytestmark = pytest.mark.database

_POLICY = """\
purpose: {reference}
art6: 6.1.a
art9: 9.2.a
quantities: {{{quantities}}}
retention: {{raw: 1d, aggregates: 1d}}
"""
COARSE = "heart_rate: {round: 5, min_interval: 1min, time_rounding: 1s, aggregate: mean}"
IN_FORCE = """
SELECT s.purpose, count(*) FROM vv.permissions JOIN vv.series s USING (series_id)
WHERE withdrawn_at IS NULL GROUP BY s.purpose ORDER BY s.purpose
"""
SENSOR = "C0:FF:EE:00:00:01"


def load(office: Office, reference: str, quantities: str) -> None:
    """Load a policy."""
    path = office.folder / f"{reference}.yaml"
    path.write_text(_POLICY.format(reference=reference, quantities=quantities))
    office.load(path)


def rules_of(lease: Lease) -> dict[str, list[Rule]]:
    """Return the rules of each handle, in hexadecimal."""
    return {grant.handle.hex(): grant.rules for grant in lease.grants}


def accept(office: Office, subject: str, agent: str, reference: str) -> str:
    """Record a consent; return the handle."""
    reply = office.run(
        "decision", "record", "--subject", subject, "--purpose", reference,
        "--agent", agent, "--binding", SENSOR, *INVENTED_YES,
    )  # fmt: skip
    return str(reply["handle"])


@pytest.fixture
def gateway(office: Office) -> tuple[str, Path]:
    """A gateway, with two purposes loaded."""
    office.load_policy()
    load(office, "study@1", COARSE)
    return office.enrol()


def test_one_sensor_serves_two_purposes(office: Office, gateway: tuple[str, Path]) -> None:
    """
    The lease binds one sensor under two handles, each with its own rules; the pseudonyms
    differ.
    """
    subject, (agent, bundle) = office.add_subject(), gateway
    care = office.accept(subject, agent)["handle"]
    study = accept(office, subject, agent, "study@1")

    lease = office.lease(agent, bundle)

    assert {grant.handle.hex(): grant.bindings for grant in lease.grants} == {
        care: [SENSOR],
        study: [SENSOR],
    }
    assert rules_of(lease)[study] == [Rule(1, 5, 60_000, 1000, Aggregate.MEAN)]
    assert Rule(1, 1, 1000, 1) in rules_of(lease)[care]
    assert office.telemetry.fetch(IN_FORCE) == [("home-monitoring", 4), ("study", 1)]
    assert office.telemetry.fetch("SELECT count(DISTINCT pseudonym) FROM vv.series") == [(2,)]


def test_withdrawing_one_leaves_the_other(office: Office, gateway: tuple[str, Path]) -> None:
    """
    After a withdrawal from one purpose, handle, rules and permissions of the other are
    unchanged.
    """
    subject, (agent, bundle) = office.add_subject(), gateway
    office.accept(subject, agent)
    study = accept(office, subject, agent, "study@1")
    before = rules_of(office.lease(agent, bundle))[study]

    office.withdraw(subject)

    assert rules_of(office.lease(agent, bundle)) == {study: before}
    assert office.telemetry.fetch(IN_FORCE) == [("study", 1)]


def test_another_person_never_shares_it(office: Office, gateway: tuple[str, Path]) -> None:
    """A sensor of one person cannot be bound to another person for another purpose."""
    agent, _ = gateway
    office.accept(office.add_subject(), agent)
    with pytest.raises(Refusal, match="another person"):
        accept(office, office.add_subject("Bo Else"), agent, "study@1")


def test_a_sensor_of_two_people_is_left_out(office: Office, gateway: tuple[str, Path]) -> None:
    """If the vault binds one sensor to two people, the lease names it for neither."""
    subject, (agent, bundle) = office.add_subject(), gateway
    other, elsewhere = office.add_subject("Bo Else"), office.enrol()[0]
    office.accept(subject, agent)
    office.accept(other, elsewhere)
    # No command can create this state.
    with office.app.vault.transaction() as records:
        (sealed,) = records.handles.sealed_at([elsewhere])
        handle = records.handles.open(sealed)
        office.vault.execute("DELETE FROM vault.handles WHERE agent = %s", elsewhere)
        data_key = records.subjects.data_key(handle.subject)
        records.handles.add(msgspec.structs.replace(handle, agent=agent), data_key=data_key)

    office.run("lease", "publish", "--renew", agent)

    assert [grant.bindings for grant in office.lease(agent, bundle).grants] == [[], []]


def test_coarser_version_agreed_to_elsewhere_holds_here(
    office: Office, gateway: tuple[str, Path]
) -> None:
    """A consent to a coarser version at one gateway makes another gateway measure no finer."""
    subject, (agent, bundle) = office.add_subject(), gateway
    elsewhere, _ = office.enrol()
    office.accept(subject, agent)
    load(office, "home-monitoring@2", COARSE)

    accept(office, subject, elsewhere, "home-monitoring@2")

    (rules,) = rules_of(office.lease(agent, bundle)).values()
    assert rules == [Rule(1, 5, 60_000, 1000, Aggregate.MEAN)]
    assert office.telemetry.fetch(
        "SELECT DISTINCT step, interval_ms, time_step_ms FROM vv.permissions"
        " WHERE withdrawn_at IS NULL"
    ) == [(5, 60_000, 1000)]


def test_finer_version_agreed_to_elsewhere_does_not_reach_here(
    office: Office, gateway: tuple[str, Path]
) -> None:
    """A consent to a finer version at one gateway does not widen an earlier consent at another."""
    subject, (agent, bundle) = office.add_subject(), gateway
    elsewhere, _ = office.enrol()
    accept(office, subject, agent, "study@1")
    load(office, "study@2", COARSE.replace("1min", "1s") + ", spo2: {round: 1, min_interval: 1s,"
         " time_rounding: 1s, aggregate: first}")  # fmt: skip

    accept(office, subject, elsewhere, "study@2")

    (rules,) = rules_of(office.lease(agent, bundle)).values()
    assert rules == [Rule(1, 5, 60_000, 1000, Aggregate.MEAN)]

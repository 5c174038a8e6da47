"""Decisions and withdrawals with a real vault and a real telemetry database."""

import datetime as dt
from pathlib import Path
from uuid import UUID

import pytest

from tests.fixtures.vault import Office, Refusal, measured
from trust.domain.units import Cause, Failure, Unit, UnitKind
from trust.errors import Tampered
from wire.quantities import Code

pytestmark = pytest.mark.database


PERMISSIONS = """
SELECT p.handle, q.quantity, p.agent, p.withdrawn_at IS NOT NULL, p.step, p.interval_ms,
       p.time_step_ms FROM vv.permissions p JOIN vv.series q USING (series_id)
ORDER BY p.handle, q.quantity
"""


def test_grant_becomes_lease_and_permissions(office: Office) -> None:
    """A consent is in the agent's lease and in the permissions, as its policy says."""
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()

    reply = office.accept(subject, agent, "--quantities", "heart_rate,glucose_interstitial")

    lease = office.lease(agent, bundle)
    handle = bytes.fromhex(reply["handle"])
    assert [(g.handle, g.bindings) for g in lease.grants] == [(handle, ["C0:FF:EE:00:00:01"])]
    assert [(r.quantity, r.step, r.interval_ms) for r in lease.grants[0].rules] == [
        (4, 10, 1000),
        (1, 1, 1000),
    ]
    assert office.telemetry.fetch(PERMISSIONS) == [
        (handle, 1, agent, False, 1, 1000, 1),
        (handle, 4, agent, False, 10, 1000, 1),
    ]
    leases = office.telemetry.fetch(
        "SELECT version, floor(extract(epoch FROM not_after) * 1000) FROM vv.leases"
    )
    assert leases == [(lease.version, lease.not_after_ms)] == [(1, lease.not_after_ms)]
    assert reply["lease_version"] == 1


def test_withdrawal_empties_lease_and_permissions(office: Office) -> None:
    """A withdrawal marks each permission at once, and issues a lease without the handle."""
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    office.accept(subject, agent)

    reply = office.withdraw(subject)

    assert office.lease(agent, bundle).grants == []
    assert reply["lease_version"] == office.lease(agent, bundle).version == 2
    assert office.vault.fetch("SELECT count(*) FROM vault.handles WHERE ended_at IS NULL") == [
        (0,)
    ]
    assert office.telemetry.fetch(
        "SELECT bool_and(withdrawn_at IS NOT NULL) FROM vv.permissions"
    ) == [(True,)]
    withdrawn_at = dt.datetime.fromisoformat(reply["withdrawn_at"])
    assert office.telemetry.fetch("SELECT max(withdrawn_at) FROM vv.permissions") == [
        (withdrawn_at,)
    ]
    assert withdrawn_at <= dt.datetime.fromisoformat(reply["committed_at"])


def test_withdrawn_handle_never_returns(office: Office) -> None:
    """
    A new consent gets a new handle under the same pseudonym; the old handle remains
    withdrawn.
    """
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    first = office.accept(subject, agent)["handle"]
    office.withdraw(subject)
    rows = "SELECT xmin::text, * FROM vv.permissions WHERE encode(handle, 'hex') = %s ORDER BY 3"
    withdrawn = office.telemetry.fetch(rows, first)

    second = office.accept(subject, agent)["handle"]

    assert first != second
    assert office.telemetry.fetch(rows, first) == withdrawn != []
    assert [g.handle.hex() for g in office.lease(agent, bundle).grants] == [second]
    assert office.telemetry.fetch(
        "SELECT encode(handle, 'hex') FROM vv.permissions WHERE withdrawn_at IS NULL"
        " GROUP BY handle"
    ) == [(second,)]
    assert office.telemetry.fetch("SELECT count(DISTINCT pseudonym) FROM vv.series") == [(1,)]


def test_later_decision_narrows_at_other_agents(office: Office) -> None:
    """
    A narrower decision at one agent also narrows the permissions at the other agents, and adds
    none there.
    """
    office.load_policy()
    subject = office.add_subject()
    home, home_bundle = office.enrol()
    ward, _ = office.enrol()
    office.accept(subject, home, "--quantities", "heart_rate,spo2")

    office.accept(subject, ward, "--quantities", "heart_rate,glucose_interstitial")

    rules = office.lease(home, home_bundle).grants[0].rules
    assert [rule.quantity for rule in rules] == [1]


def test_withdrawal_reaches_every_agent(office: Office) -> None:
    """One transaction withdraws the consent of a person at both of their gateways."""
    office.load_policy()
    subject = office.add_subject()
    agents = [office.enrol() for _ in range(2)]
    for agent, _ in agents:
        office.accept(subject, agent)

    reply = office.withdraw(subject)

    assert set(reply["leases"]) == {agent for agent, _ in agents}
    assert all(office.lease(*agent).grants == [] for agent in agents)
    assert office.telemetry.fetch("SELECT count(DISTINCT xmin::text) FROM vv.permissions") == [
        (1,)
    ]


def test_withdrawal_leaves_others_alone(office: Office) -> None:
    """A withdrawal does not change the permissions of another person at the same gateway."""
    office.load_policy()
    ada, bob = office.add_subject(), office.add_subject("Bob")
    agent, bundle = office.enrol()
    office.accept(ada, agent)
    bobs = office.accept(bob, agent, binding="C0:FF:EE:00:00:02")["handle"]
    query = "SELECT *, xmin::text FROM vv.permissions WHERE encode(handle, 'hex') = %s"
    before = office.telemetry.fetch(query, bobs)

    office.withdraw(ada)

    assert [g.handle.hex() for g in office.lease(agent, bundle).grants] == [bobs]
    assert office.telemetry.fetch(query, bobs) == before


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["--quantities", "rr_interval"], "does not allow", id="denied quantity"),
        pytest.param(["--binding", "Ada's strap"], "address", id="no address"),
        pytest.param(["--valid-to", "2020-01-01T00:00:00Z"], "--valid-to", id="past"),
        pytest.param(["--valid-to", "tomorrow"], "--valid-to", id="no time"),
        pytest.param(["--purpose", "home-monitoring@9"], "no such purpose", id="purpose"),
        pytest.param(["--agent", "0123456789abcdef"], "no such agent", id="agent"),
        pytest.param(["Ada"], "does not take", id="stray word"),
    ],
)
def test_bad_grant_is_refused(office: Office, argv: list[str], message: str) -> None:
    """A refused consent says what to change, quotes no argument, and records nothing."""
    office.load_policy()
    subject = office.add_subject()
    agent, _ = office.enrol()

    with pytest.raises(Refusal, match=message) as refusal:
        office.accept(subject, agent, *argv)

    assert "Ada" not in str(refusal.value)
    assert office.vault.fetch("SELECT count(*) FROM vault.decisions") == [(0,)]


def test_sensor_of_two_people_is_refused(office: Office) -> None:
    """One sensor cannot be bound to two people at one gateway."""
    office.load_policy()
    ada, bob = office.add_subject(), office.add_subject("Bob")
    agent, _ = office.enrol()
    office.accept(ada, agent)

    with pytest.raises(Refusal, match="in use"):
        office.accept(bob, agent)


def test_withdrawing_nothing_is_refused(office: Office) -> None:
    """A person who never consented or has withdrawn cannot withdraw."""
    office.load_policy()
    subject = office.add_subject()

    with pytest.raises(Refusal, match="no accepted decision"):
        office.withdraw(subject)


def test_decisions_are_append_only(office: Office) -> None:
    """Trust's role can neither change nor delete a decision."""
    privileges = office.vault.fetch(
        "SELECT DISTINCT privilege_type FROM information_schema.table_privileges"
        " WHERE grantee = 'vv_trust' AND table_name IN ('decisions', 'purposes', 'attempts')"
        " UNION SELECT DISTINCT privilege_type FROM information_schema.column_privileges"
        " WHERE grantee = 'vv_trust' AND table_name IN ('decisions', 'purposes', 'attempts')"
    )
    assert set(privileges) == {("INSERT",), ("SELECT",)}
    owned = office.vault.fetch("SELECT count(*) FROM pg_tables WHERE tableowner = 'vv_trust'")
    assert owned == [(0,)]


def test_forged_decision_is_not_used(office: Office) -> None:
    """
    A decision that was changed in the database permits nothing: neither its new nor its old
    content.
    """
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    office.accept(subject, agent, "--quantities", "heart_rate")
    office.vault.execute(
        "UPDATE vault.decisions SET document ="
        " convert_to(replace(convert_from(document, 'UTF8'), 'heart_rate', 'spo2'), 'UTF8')"
    )

    done = office.app.reconciler.reconcile([agent], renew=True)

    person = Unit(UnitKind.PERSON, subject)
    assert done.failures == {agent: {Failure(person, Cause.TAMPERED)}}
    assert office.lease(agent, bundle).grants == []
    assert office.telemetry.fetch("SELECT quantity, withdrawn_at FROM vv.permissions") == [
        (Code.HEART_RATE, None)
    ]


def test_another_persons_decisions_are_not_used(office: Office) -> None:
    """A chain that was signed for one person is not accepted for another person."""
    office.load_policy()
    ada, bo = office.add_subject(), office.add_subject("Bo")
    agent, _ = office.enrol()
    office.accept(ada, agent)
    office.vault.execute("UPDATE vault.decisions SET subject = %s", bo)
    office.vault.execute("UPDATE vault.handles SET subject = %s", bo)

    with office.app.vault.transaction() as records:
        with pytest.raises(Tampered, match="a chain of decisions"):
            records.decisions.chain(UUID(bo), "home-monitoring")
        chain = (UUID(bo), "home-monitoring")
        with pytest.raises(Tampered, match="a chain of decisions"):
            records.decisions.verified_chain(
                chain, records.decisions.signed_of_agents([agent])[chain]
            )


def test_another_purposes_policy_is_not_used(office: Office, tmp_path: Path) -> None:
    """A policy that was signed under one name is not accepted under another."""
    finer = tmp_path / "finer.yaml"
    text = (Path(__file__).parents[4] / "trust" / "policies" / "demo.yaml").read_text()
    finer.write_text(text.replace("home-monitoring@1", "research@1"))
    office.load_policy()
    office.run("policy", "load", "--first", str(finer))
    office.vault.execute(
        "UPDATE vault.purposes p SET document = o.document, signature = o.signature"
        " FROM vault.purposes o WHERE p.purpose = 'home-monitoring' AND o.purpose = 'research'"
    )
    other = Office(office.settings, office.folder, office.vault, office.telemetry)

    with other.app.vault.transaction() as records, pytest.raises(Tampered, match="a policy"):
        records.purposes.get("home-monitoring", 1)
    other.app.close()


def test_changed_policy_needs_a_new_version(office: Office, tmp_path: Path) -> None:
    """
    Loading the same policy again changes nothing; a different one under the same version is
    refused.
    """
    office.load_policy()
    office.load_policy()
    text = (Path(__file__).parents[4] / "trust" / "policies" / "demo.yaml").read_text()
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace("0.1", "0.2"))

    with pytest.raises(Refusal, match="new version"):
        office.run("policy", "load", "--first", str(changed))


def test_scope_in_the_future_waits(office: Office) -> None:
    """
    A consent that begins in the future is permitted from then on, and the next lease is due at
    that time.
    """
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    begins = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(minutes=5)

    office.accept(subject, agent, "--valid-from", begins.isoformat())

    assert office.lease(agent, bundle).grants == []
    assert office.vault.fetch("SELECT due_at FROM vault.agents") == [(begins,)]
    assert office.telemetry.fetch("SELECT DISTINCT valid_from FROM vv.permissions") == [(begins,)]


def test_a_withdrawal_that_the_database_refuses_ends_all_the_same(office: Office) -> None:
    """
    A withdrawal that the vault cannot record still ends the permissions, and the command reports
    the failure.
    """
    subject, _ = measured(office)
    office.vault.execute(
        "ALTER TABLE vault.decisions ADD CHECK (position('withdrawn'::bytea IN document) = 0)"
    )

    with pytest.raises(Refusal, match="nothing more is measured or stored"):
        office.withdraw(subject)

    assert office.telemetry.fetch(
        "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
    ) == [(0,)]
    assert office.vault.fetch("SELECT count(*) FROM vault.decisions") == [(1,)]

"""Sensors on real databases: commands, permissions, leases, and what ends with the person."""

import datetime as dt
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fixtures.vault import Office, Refusal

pytestmark = [pytest.mark.database, pytest.mark.slow]

OLD, NEW, CUFF = (f"C0:FF:EE:00:00:0{n}" for n in (1, 2, 3))
_PERMITTED = (
    "SELECT encode(handle, 'hex'), source, measured_to FROM vv.permissions"
    " WHERE withdrawn_at IS NULL GROUP BY 1, 2, 3"
)


@pytest.fixture
def gateway(office: Office) -> tuple[str, Path]:
    """A gateway, where the demo's purpose is known."""
    office.load_policy()
    return office.enrol()


def bound(office: Office, gateway: tuple[str, Path]) -> list[list[str]]:
    """Return what the lease binds, grant by grant."""
    return sorted(grant.bindings for grant in office.lease(*gateway).grants)


def test_a_glucose_sensor_is_exchanged(office: Office, gateway: tuple[str, Path]) -> None:
    """The lease binds the new one, and the old one's readings from before may still be stored."""
    agent, _ = gateway
    subject = office.add_subject()
    first = office.accept(subject, agent)["handle"]
    decisions = office.vault.fetch("SELECT count(*) FROM vault.decisions")

    reply = office.run("sensor", "replace", "--agent", agent, "--binding", NEW, "--replaces", OLD)

    assert reply["subject"] == subject
    assert reply["ended"] == {"home-monitoring": [OLD]}
    assert bound(office, gateway) == [[], [NEW]]
    found: dict[Any, Any] = {
        handle: (source, until) for handle, source, until in office.telemetry.fetch(_PERMITTED)
    }
    begun = reply["begun"]["home-monitoring"]
    assert found.keys() == {first, begun}
    assert len({source for source, _ in found.values()} - {0}) == 2
    assert found[begun][1] is None
    assert found[first][1] <= dt.datetime.fromisoformat(reply["committed_at"])
    assert office.vault.fetch("SELECT count(*) FROM vault.decisions") == decisions


def test_another_binding_is_added_and_said(office: Office, gateway: tuple[str, Path]) -> None:
    """A decision that names another sensor drops none: what stays bound is said."""
    agent, _ = gateway
    subject = office.add_subject()
    office.accept(subject, agent)

    reply = office.accept(subject, agent, binding=NEW)

    assert reply["kept"] == [OLD]
    assert reply["handles"].keys() == {OLD, NEW}
    assert reply["handle"] == reply["handles"][NEW]
    assert bound(office, gateway) == [[OLD], [NEW]]
    rows = office.run("sensor", "list", "--subject", subject)["rows"]
    assert sorted((row["sensor"], row["user"], row["unbound_at"]) for row in rows) == [
        (OLD, None, None), (NEW, None, None),
    ]  # fmt: skip


def test_a_cuff_is_bound_by_its_user(office: Office, gateway: tuple[str, Path]) -> None:
    """Two people share one cuff; a person without an accepted decision gets no sensor."""
    agent, _ = gateway
    ada, bo, cy = (office.add_subject(name) for name in ("Ada", "Bo", "Cy"))
    for subject, sensor in ((ada, OLD), (bo, NEW)):
        office.accept(subject, agent, binding=sensor)
    cuff = ["--agent", agent, "--binding", CUFF]

    office.run("sensor", "bind", "--subject", ada, *cuff, "--user", "1")
    with pytest.raises(Refusal, match="another person"):
        office.run("sensor", "bind", "--subject", bo, *cuff)
    office.run("sensor", "bind", "--subject", bo, *cuff, "--user", "2")
    with pytest.raises(Refusal, match="no accepted decision"):
        office.run("sensor", "bind", "--subject", cy, *cuff, "--user", "3")
    with pytest.raises(Refusal, match="no such sensor"):
        office.run("sensor", "unbind", *cuff)
    office.run("sensor", "unbind", *cuff, "--user", "1")

    assert bound(office, gateway) == [[], [OLD], [NEW], [f"{CUFF}#2"]]


def test_a_withdrawal_and_an_export_see_every_sensor(
    office: Office, gateway: tuple[str, Path]
) -> None:
    """Handles of all sensors end with the purpose, also of those that were unbound."""
    agent, _ = gateway
    subject = office.add_subject()
    office.accept(subject, agent)
    office.run("sensor", "bind", "--subject", subject, "--agent", agent, "--binding", NEW)
    office.run("sensor", "unbind", "--agent", agent, "--binding", OLD)
    assert len(office.telemetry.fetch(_PERMITTED)) == 2

    office.withdraw(subject)

    assert office.telemetry.fetch(_PERMITTED) == []
    assert office.telemetry.fetch("SELECT count(DISTINCT pseudonym) FROM vv.series") == [(1,)]
    assert bound(office, gateway) == []
    assert office.vault.fetch("SELECT count(*) FROM vault.handles WHERE ended_at IS NULL") == [
        (0,)
    ]


def test_addresses_are_sealed_also_once_unbound(office: Office, gateway: tuple[str, Path]) -> None:
    """No column of either database holds the address of a sensor that was unbound."""
    agent, _ = gateway
    office.accept(office.add_subject(), agent)
    office.run("sensor", "unbind", "--agent", agent, "--binding", OLD)

    for database, table in ((office.vault, "vault.handles"), (office.telemetry, "vv.permissions")):
        ((found,),) = database.fetch(f"SELECT string_agg(t::text, ' ') FROM {table} t")  # noqa: S608
        assert OLD.encode().hex() not in str(found)
        assert OLD not in str(found)


def test_sensors_are_not_published_as_people(office: Office, gateway: tuple[str, Path]) -> None:
    """One person with many sensors is not seen in what dashboards read."""
    agent, _ = gateway
    subject = office.add_subject()
    more = [word for n in range(15) for word in ("--binding", f"C0:FF:EE:00:01:{n:02X}")]
    office.accept(subject, agent, *more, binding=OLD)
    office.run("sensor", "unbind", "--agent", agent, "--binding", OLD)
    ((rows,),) = office.telemetry.fetch("SELECT count(*) FROM vv.permissions")
    assert isinstance(rows, int)
    assert rows >= 11

    published = "SELECT vv.publish_operations(clock_timestamp() + interval '2 hours')"
    assert office.telemetry.fetch(published) == [(True,)]

    assert office.telemetry.fetch("SELECT in_force, withdrawn FROM vv.ops_permissions") == [(0, 0)]


def test_an_upgrade_gives_handles_their_sources(office: Office, gateway: tuple[str, Path]) -> None:
    """
    A permission that an earlier release wrote gets its source with the next lease, without a
    pause of ingest, and is the same permission.
    """
    agent, _ = gateway
    handle = office.accept(office.add_subject(), agent)["handle"]
    source = office.telemetry.fetch(_PERMITTED)[0][1]
    with psycopg.connect(office.telemetry.dsn()) as connection:
        epoch = connection.execute("SELECT vv.next_epoch()").fetchone()
        connection.execute("UPDATE vv.permissions SET source = 0, changed_epoch = %s", epoch)

    with psycopg.connect(office.telemetry.dsn()) as flush:
        flush.execute("SELECT vv.hold_permissions()")
        office.app.reconciler.reconcile([agent], renew=True)

    assert office.telemetry.fetch(_PERMITTED) == [(handle, source, None)]

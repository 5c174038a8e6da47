"""Units that do not verify are set aside, and delay no other unit."""

import datetime as dt
from contextlib import AbstractAsyncContextManager

import pytest

from tests.fixtures.vault import Office, Refusal
from trust.errors import BrokerUnavailable
from trust.metrics import Metrics
from trust.ports import Channel
from trust.reconcile import lease_publisher
from trust.reconcile.lease_publisher import LeasePublisher

pytestmark = pytest.mark.database


class NoBroker:
    """A broker that cannot be reached."""

    def connect(self) -> AbstractAsyncContextManager[Channel]:
        """Raise BrokerUnavailable."""
        raise BrokerUnavailable("there is none")


def test_tampered_agents_do_not_fill_the_rounds(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a whole round consists of faulty gateways, the next gateway is reconciled."""
    monkeypatch.setattr(lease_publisher, "_GROUP", 2)
    office.load_policy()
    agents = [office.enrol()[0] for _ in range(3)]
    for number, agent in enumerate(agents):
        office.accept(office.add_subject(), agent, binding=f"C0:FF:EE:00:00:0{number}")
    office.vault.execute(
        "UPDATE vault.decisions SET signature = '' WHERE decision IN"
        " (SELECT decision FROM vault.handles WHERE agent = ANY(%s))",
        agents[:2],
    )
    for number, agent in enumerate(agents):
        office.vault.execute(
            "UPDATE vault.agents SET wanted = wanted + 1,"
            " wanted_at = now() - make_interval(days => %s) WHERE agent = %s",
            3 - number,
            agent,
        )
    working = LeasePublisher(
        office.app.vault,
        office.app.reconciler,
        NoBroker(),
        listen_to=office.settings.vault,
        metrics=Metrics(),
        repair_after=dt.timedelta(seconds=1),
    )

    while working._bring_some():
        pass
    working.close()

    assert office.vault.fetch("SELECT agent FROM vault.agents WHERE applied < wanted") == []
    assert office.vault.fetch(
        "SELECT stands_in, kind, cause FROM vault.set_aside ORDER BY stands_in"
    ) == [(agent, "person", "tampered") for agent in sorted(agents[:2])]


def test_a_withdrawal_takes_effect_though_the_decisions_do_not_verify(office: Office) -> None:
    """
    A withdrawal with unverifiable decisions ends the permissions, reports that it is not recorded,
    and affects no one else.
    """
    office.load_policy()
    agent, _ = office.enrol()
    damaged, other = office.add_subject(), office.add_subject()
    office.accept(damaged, agent)
    office.accept(other, agent, binding="C0:FF:EE:00:00:02")
    office.vault.execute("UPDATE vault.decisions SET signature = '' WHERE subject = %s", damaged)

    with pytest.raises(Refusal, match="could not be recorded"):
        office.withdraw(damaged)

    assert office.vault.fetch(
        "SELECT subject::text, ended_at IS NULL FROM vault.handles ORDER BY subject = %s", other
    ) == [(damaged, False), (other, True)]
    assert office.telemetry.fetch(
        "SELECT withdrawn_at IS NULL, count(*) FROM vv.permissions GROUP BY 1 ORDER BY 1"
    ) == [(False, 4), (True, 4)]

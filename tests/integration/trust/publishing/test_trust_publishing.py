"""
Leases on a real broker: commands, the daemon, and the repair after a crash between two
steps.
"""

import asyncio
import time
import uuid

import msgspec
import pytest

from runtime.settings import BrokerSettings
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office
from tests.support.publishing import daemon
from tests.support.retained_leases import measured_at_home, next_lease, retained
from trust.composition import App
from trust.errors import BrokerUnavailable
from trust.ports import SealedLease
from trust.reconcile.mqtt_broker import MqttBroker
from trust.vault.vault import listen

pytestmark = [pytest.mark.database, pytest.mark.broker]


async def test_lease_is_retained_for_its_agent(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """Without a daemon a command publishes the lease itself, and the bundle's keys open it."""
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    handle = office.accept(subject, agent)["handle"]
    app = App(office.with_broker(trust_broker))

    assert await app.publish(patience_s=2.0)
    app.close()

    leases = retained(broker, certificates, agent, bundle)
    assert [g.handle.hex() for g in (await next_lease(leases)).grants] == [handle]
    await leases.aclose()
    assert office.vault.fetch("SELECT published_version FROM vault.agents") == [(1,)]


async def test_who_publishes_lets_others_in_between(
    office: Office, trust_broker: BrokerSettings
) -> None:
    """A connection can be the publisher repeatedly, and releases the role in between."""
    office.load_policy()
    people = [office.add_subject() for _ in range(3)]
    agent, _ = office.enrol()
    app = App(office.with_broker(trust_broker))
    # Without PostgreSQL's own processes, such as autovacuum workers.
    backends = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    async with app.publishing() as publish:
        opened = []
        for version, subject in enumerate(people, 1):
            office.accept(subject, agent, binding=f"C0:FF:EE:00:00:0{version}")
            assert await publish(2.0)
            assert office.vault.fetch("SELECT published_version FROM vault.agents") == [(version,)]
            opened.append(office.vault.fetch(backends))
            async with listen(office.settings.vault) as other:
                assert await other.is_publisher()
        assert opened == [opened[0]] * 3
    app.close()


async def test_daemon_publishes_changes_at_once(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """An agent receives each change right after its commit, and not in the daemon's next round."""
    subject, agent, bundle = measured_at_home(office)
    with daemon(office, trust_broker):
        leases = retained(broker, certificates, agent, bundle)
        lease = await next_lease(leases)
        started = time.monotonic()
        # Each change follows the previous one at once: a daemon that only polls would be late
        # every time.
        for _ in range(3):
            await asyncio.to_thread(office.withdraw, subject)
            lease = await next_lease(leases, above=lease.version)
            assert lease.grants == []
            await asyncio.to_thread(office.accept, subject, agent)
            lease = await next_lease(leases, above=lease.version)
            assert len(lease.grants) == 1
        assert time.monotonic() - started < 3.0
        await leases.aclose()


async def test_daemon_finishes_what_a_crash_cut_off(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """
    A withdrawal that was committed only to the vault takes effect when the daemon
    completes it.
    """
    subject, agent, bundle = measured_at_home(office)
    office.app.consent.record_withdrawn(uuid.UUID(subject), "home-monitoring")
    assert office.telemetry.fetch(
        "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
    ) != [(0,)]

    with daemon(office, trust_broker):
        leases = retained(broker, certificates, agent, bundle)
        lease = await next_lease(leases, above=1)
        await leases.aclose()

    assert lease.grants == []
    assert office.telemetry.fetch(
        "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
    ) == [(0,)]


async def test_crash_after_the_telemetry_commit_is_repaired(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    If trust is killed between its two commits, the repeated reconciliation only increases the
    lease's version.
    """
    subject, agent, bundle = measured_at_home(office)

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("trust.vault.postgres.leases.PostgresLeases.save_applied", die)
        with pytest.raises(Killed):
            office.app.consent.withdraw(uuid.UUID(subject), "home-monitoring")
    withdrawn = office.telemetry.fetch("SELECT xmin::text, * FROM vv.permissions ORDER BY 2, 3")

    office.app.reconciler.reconcile([agent])

    assert office.telemetry.fetch("SELECT xmin::text, * FROM vv.permissions ORDER BY 2, 3") == (
        withdrawn
    )
    assert office.lease(agent, bundle).version == 3
    assert office.telemetry.fetch("SELECT version FROM vv.leases ORDER BY version") == [
        (1,),
        (2,),
        (3,),
    ]


async def test_daemon_renews_before_the_end(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """A lease is replaced by the next one before it ends."""
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    with daemon(office, trust_broker, ttl_s=6.0, refresh_at=0.3):
        office.settings = msgspec.structs.replace(
            office.settings, lease=msgspec.structs.replace(office.settings.lease, ttl_s=6.0)
        )
        office.app.close()
        office.app = App(office.settings)
        await asyncio.to_thread(office.accept, subject, agent)
        leases = retained(broker, certificates, agent, bundle)
        first = await next_lease(leases)
        second = await next_lease(leases, above=first.version)
        await leases.aclose()

    assert first.issued_at_ms < second.issued_at_ms < first.not_after_ms < second.not_after_ms
    assert second.grants == first.grants


async def test_daemon_restores_what_the_broker_lost(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """A broker that lost its state has every lease again soon."""
    _, agent, bundle = measured_at_home(office)
    with daemon(office, trust_broker):
        broker.kill()
        broker.wipe()
        broker.start()
        leases = retained(broker, certificates, agent, bundle)
        assert (await next_lease(leases)).version == 1
        await leases.aclose()


async def test_daemon_survives_a_restart_of_the_database(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """
    After the vault has ended every connection, the daemon connects again and continues
    to publish.
    """
    subject, agent, bundle = measured_at_home(office)
    with daemon(office, trust_broker):
        leases = retained(broker, certificates, agent, bundle)
        before = await next_lease(leases)
        office.vault.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vv_trust'"
        )

        await asyncio.to_thread(office.withdraw, subject)

        assert (await next_lease(leases, above=before.version)).grants == []
        await leases.aclose()


async def test_refused_publication_is_noticed(
    broker: Mosquitto, certificates: Certificates
) -> None:
    """
    A PUBACK with an error is not mistaken for a success: here an agent publishes to
    trust's topic.
    """
    impostor = MqttBroker(
        broker_settings(broker, certificates, "ingest"), max_packet_bytes=131_072
    )

    async with impostor.connect() as channel:
        with pytest.raises(BrokerUnavailable, match="ACL"):
            await channel.publish([SealedLease("0123456789abcdef", 1, b"x")])


async def test_broker_out_of_reach_is_said(broker: Mosquitto, certificates: Certificates) -> None:
    """An unreachable broker raises trust's own error, whatever the library raises."""
    settings = broker_settings(broker, certificates, "trust")
    broker.kill()

    with pytest.raises(BrokerUnavailable):
        async with MqttBroker(settings, max_packet_bytes=131_072).connect():
            pass

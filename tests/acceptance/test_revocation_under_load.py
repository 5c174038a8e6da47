"""
A gateway is revoked while it and its neighbours send: after the COMMIT none of its envelopes is
stored.

Sensors, agents, broker, ingest and trust run as in service. Envelopes that the gateway has under
way are refused, also those that wait at the broker. Its connection is ended, and it cannot connect
again. Every record of its neighbours is stored once, in order.
"""

import asyncio
import sys
import threading
import time
from typing import Final

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from runtime.settings import BrokerSettings, TlsSettings
from simulators.stack.network import Direction
from simulators.stack.scrape import scrape
from simulators.stack.system import LocalAgent
from tests.fixtures.system import Flow, Scene
from trust.domain.pki import Holder
from trust.enrolment.takeover import MqttConnectionControl

pytestmark = [
    pytest.mark.broker,
    pytest.mark.database,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

_GONE_WITHIN_S: Final = 5.0
_WATCHED_S: Final = 3.0
"""Longer than an agent waits before it tries to connect again."""
_AFTER: Final = """
WITH revoked AS (
    SELECT epoch, pg_xact_commit_timestamp(xmin) AS at FROM vv.agent_periods
    WHERE agent = %(agent)s AND revoked_at IS NOT NULL ORDER BY position LIMIT 1
)
SELECT (SELECT count(*) FROM revoked),
    count(*),
    count(*) FILTER (WHERE pg_xact_commit_timestamp(o.xmin) > (SELECT at FROM revoked)),
    count(*) FILTER (WHERE f.epoch IS NULL OR f.epoch >= (SELECT epoch FROM revoked))
FROM vv.observations o LEFT JOIN vv.flushes f ON f.transaction::xid = o.xmin
WHERE o.series_id IN (SELECT series_id FROM vv.permission_periods WHERE agent = %(agent)s)
"""


def _says(gateway: LocalAgent, name: str) -> float | None:
    metrics = scrape(gateway.http_port)
    return None if metrics is None else metrics.value(f"vitalveil_agent_{name}")


class Connections:
    """Records whether agents report that they are connected."""

    def __init__(self, *gateways: LocalAgent) -> None:
        self._gateways = gateways
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: dict[str, list[tuple[float, bool]]] = {one.agent: [] for one in gateways}

    def __enter__(self) -> "Connections":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._ends.wait(0.02):
            for one in self._gateways:
                if (value := _says(one, "connected")) is not None:
                    self.seen[one.agent].append((time.monotonic(), value == 1))

    def last_seen(self, agent: str) -> float:
        """Return when *agent* was connected last."""
        return max(at for at, is_connected in self.seen[agent] if is_connected)

    def was_always(self, agent: str) -> bool:
        """Tell whether *agent* was connected at every check."""
        return all(is_connected for _, is_connected in self.seen[agent])


def _after(flow: Flow) -> tuple[int, int, int]:
    """
    Return the number of rows of a revoked gateway: in all, in flushes that committed after its
    revocation, and in flushes that did not hold an epoch from before the revocation.
    """
    admin = flow.system.databases.admin("telemetry")
    with psycopg.connect(admin, autocommit=True) as connection:
        row = connection.execute(_AFTER, {"agent": flow.gateway.agent}).fetchone()
    assert row is not None
    assert row[0] == 1, "the COMMIT of the revocation is known"
    return row[1], row[2], row[3]


def _gets_in(flow: Flow) -> bool:
    """Tell whether the broker accepts a connection with the gateway's own certificate."""
    folder, whole = flow.gateway.folder, flow.system
    key = load_pem_private_key((folder / "agent.key").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    certificate = x509.load_pem_x509_certificate((folder / "agent.crt").read_bytes())
    tls = TlsSettings(folder / "ca.crt", folder / "agent.crt", folder / "agent.key")
    door = MqttConnectionControl(BrokerSettings(tls=tls, port=whole.broker.port))
    return asyncio.run(door.lets_in(Holder(key, certificate)))


def _refused(flow: Flow) -> float:
    metrics = scrape(flow.system.ingest_port)
    assert metrics is not None
    return metrics.value("vitalveil_ingest_refused_envelopes_total", reason="agent_revoked")


def _revoke(scene: Scene, stolen: Flow, *others: Flow, waits: bool) -> None:
    """Revoke a gateway, check the promises afterwards, and return how long the revocation took."""
    refused = _refused(stolen)
    for flow in (stolen, *others):
        flow.wait_for_more(20, "rows of all are stored while they are measured")
    with (
        scene.system.trust_shell() as shell,
        Connections(*(flow.gateway for flow in (stolen, *others))) as connections,
    ):
        if waits:
            scene.ingest_network.hold(Direction.DOWN)
            time.sleep(1.0)
        begun_at = time.monotonic()
        reply = shell.run("pki", "revoke", stolen.gateway.agent, "--yes")
        ended_at = time.monotonic()
        scene.ingest_network.release()
        assert (reply["stored"], reply["connected"]) == ("no more", "no more"), reply["next"]
        assert not _gets_in(stolen)
        rows = [len(flow.stored()) for flow in others]
        time.sleep(_WATCHED_S)

    cut_after = connections.last_seen(stolen.gateway.agent) - begun_at
    stored, late, undue = _after(stolen)
    more_refused = _refused(stolen) - refused
    sys.stdout.write(
        f"revoked in {ended_at - begun_at:.2f} s, last connected after {cut_after:.2f} s,"
        f" {stored} rows before, {more_refused:.0f} envelopes refused after\n"
    )
    assert stored >= 20
    assert (late, undue) == (0, 0)
    assert cut_after <= _GONE_WITHIN_S
    assert more_refused > 0 or not waits
    for flow, before in zip(others, rows, strict=True):
        assert len(flow.stored()) >= before + 50
        assert connections.was_always(flow.gateway.agent), "nobody else is disconnected"


def test_nothing_is_stored_after_a_revocation(scene: Scene) -> None:
    """
    No flush after the COMMIT stores a row of the gateway; it is disconnected, and its neighbours
    continue.
    """
    first, second, neighbour = (scene.flow() for _ in range(3))
    _revoke(scene, first, second, neighbour, waits=False)
    _revoke(scene, second, neighbour, waits=True)
    neighbour.end()
    # Checked again after everything that was under way has arrived.
    for stolen in (first, second):
        assert _after(stolen)[1:] == (0, 0)
        assert not _gets_in(stolen)

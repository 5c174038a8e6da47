"""The agent as a process, with a real broker and forged or repeated receipts."""

import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from simulators.stack.broker import Mosquitto
from tests.fakes.edge_agent import SENSOR, Gateway, grant, lease
from tests.fakes.edge_agent_doubles import IngestDouble, PlayerDouble
from tests.fixtures.ingest import until
from tests.fixtures.pki import Certificates
from tests.integration.edge_agent.test_agent_end_to_end import Process
from wire import agreement
from wire import receipt as wire_receipt
from wire.envelope import MAX_SEQUENCE
from wire.receipt import SpoolReceipt
from wire.state import LEASE_2, RECEIPT_2, is_floor_proven

pytestmark = [pytest.mark.broker, pytest.mark.slow]


class Home:
    """A gateway with its sensor, and an ingest that settles only when the test says so."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.process = Process(gateway)
        self.player = PlayerDouble(gateway.settings.sensors.recorded_socket)
        self.ingest = IngestDouble(gateway)
        self.ingest.settles = False
        self.measured = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run everything except the agent while the context is open."""
        now_ms = time.time_ns() // 1_000_000
        await self.gateway.publish_lease(
            lease(grant(), agent=self.gateway.agent, issued_at_ms=now_ms)
        )
        async with self.ingest.running(), self.player.running():
            yield

    async def measure(self, count: int) -> None:
        """Measure *count* more readings, and wait until ingest has them."""
        await self.ingest.until(lambda: SENSOR in self.player.listening)
        start_ms = time.time_ns() // 1_000_000
        for n in range(count):
            self.player.play(SENSOR, start_ms + n, 60.0 + n)
        self.measured += count
        await self.ingest.until(lambda: len(self.ingest.observations) == self.measured)

    def depth(self) -> object:
        """Return how many envelopes the spool holds."""
        return self.process.spool()["depth"]


@pytest.fixture
def home(run_folder: Path, broker: Mosquitto, certificates: Certificates) -> Iterator[Home]:
    """A home for this test alone."""
    found = Home(Gateway(run_folder / f"home-{broker.port}", broker, certificates))
    yield found
    found.process.kill()
    sys.stdout.write(found.process.log.read_text())


async def test_who_holds_ingests_certificate_makes_nothing_forgotten(home: Home) -> None:
    """
    A holder of ingest's certificate cannot make the agent delete: each forged receipt is counted
    and refused.
    """
    home.process.start()
    async with home.running():
        await home.measure(5)
        ingest, gateway = home.ingest, home.gateway
        held = home.depth()
        assert held
        (spool_id,) = {spool_id for spool_id, _ in ingest.payloads}
        everything = [SpoolReceipt(spool_id, MAX_SEQUENCE - 1)]
        lease_key = gateway.lease_key.public_key().public_bytes_raw()
        shared = agreement.of_ingest(gateway.ingest_key, lease_key, gateway.agent)
        thief = agreement.of_ingest(X25519PrivateKey.generate(), lease_key, gateway.agent)
        other = agreement.of_ingest(gateway.ingest_key, lease_key, "f" * 16)
        genuine = ingest.proven(everything)
        await ingest.publish(
            wire_receipt.encode(everything),
            wire_receipt.encode_proven(everything, [thief]),
            wire_receipt.encode_proven(
                everything, [msgspec.structs.replace(thief, key_id=shared.key_id)]
            ),
            wire_receipt.encode_proven(everything, [other]),
            wire_receipt.encode_proven(
                everything, [msgspec.structs.replace(shared, receipt_key=shared.floor_key)]
            ),
            genuine[:-1],
            wire_receipt.encode_proven([SpoolReceipt(spool_id, 0, [(1, MAX_SEQUENCE)])], [shared]),
        )
        # The malformed and oversized receipts were sent last, so all others have been read by now.
        await until(lambda: '"malformed"' in home.process.log.read_text())
        # The state is published only from time to time; a restarted agent reads the retained
        # receipt at once.
        home.process.stop()
        assert home.depth() == held
        home.process.start()
        await home.measure(1)
        assert home.process.log.read_text().count("receipt_refused") >= 4
        assert home.depth()
        # The genuine receipt is accepted afterwards.
        ingest.settles = True
        await home.measure(1)
        await ingest.until(lambda: home.depth() == 0)


async def test_an_older_receipt_that_comes_again_takes_nothing(home: Home) -> None:
    """A repeated older receipt changes nothing, because it covers fewer envelopes."""
    home.process.start()
    async with home.running():
        await home.measure(2)
        older = home.ingest.proven(home.ingest.receipt())
        home.ingest.settles = True
        await home.measure(2)
        await home.ingest.until(lambda: home.depth() == 0)
        home.ingest.settles = False
        await home.measure(3)
        held = home.depth()
        await home.ingest.publish(older, older)
        await home.measure(1)
        assert isinstance(held, int)
        assert home.depth() == held + 1


async def test_restarted_with_a_backlog_alone_it_believes_the_receipt(home: Home) -> None:
    """
    A restarted agent with only a backlog accepts the receipt: the shared keys survive, its session
    keys do not.
    """
    home.process.start()
    async with home.running():
        await home.measure(4)
        home.process.kill()
        assert home.depth()
        await home.ingest.publish(home.ingest.proven(home.ingest.receipt()))
        home.process.start()
        # Ingest settles nothing more, so the agent has only the receipt that the broker retained.
        await home.ingest.until(lambda: home.depth() == 0)


async def test_its_state_says_what_it_reads_and_proves_its_floor(home: Home) -> None:
    """
    The state names the forms that the agent reads and proves its floor, while online and in its
    will.
    """
    home.process.start()
    async with home.running():
        home.ingest.settles = True
        await home.measure(3)
        await home.ingest.until(lambda: home.depth() == 0)
        home.process.kill()
        await home.ingest.until(lambda: home.ingest.states[-1].online is False)
        gateway = home.gateway
        lease_key = gateway.lease_key.public_key().public_bytes_raw()
        shared = agreement.of_ingest(gateway.ingest_key, lease_key, gateway.agent)
        for told in home.ingest.states:
            assert told.does_read(RECEIPT_2)
            assert told.does_read(LEASE_2)
            assert all(is_floor_proven(spool, [shared]) for spool in told.spools)

"""
The broker is unreachable for hours while all sensors measure: what is kept, and what is
given up.
"""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from edge_agent.config import BatchSettings, PublishSettings, SpoolSettings
from edge_agent.spool import inspection, verification
from edge_agent.spool.inspection import SpoolView
from simulators.stack.broker import Mosquitto
from tests.fakes.edge_agent import Gateway, grant, lease
from tests.fakes.edge_agent_doubles import IngestDouble
from tests.fixtures.pki import Certificates
from tests.support.agents.hurried import CGM, METER, STRAPS, HurriedAgent
from wire.policy import Rule
from wire.quantities import Code

pytestmark = [pytest.mark.broker, pytest.mark.slow]

HOUR_MS = 3_600_000
_FLOWS_WITHIN_S = 60
_SENSORS = [*STRAPS, METER, CGM]
_CODES = [*[Code.HEART_RATE] * 4, Code.GLUCOSE_CAPILLARY, Code.GLUCOSE_INTERSTITIAL]
_HANDLES = [bytes([n + 1]) * 16 for n in range(len(_SENSORS))]


class Outage:
    """
    An agent and an ingest that lose their connection.

    Args:
        gateway: The gateway of the agent.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.agent = HurriedAgent(gateway)
        self.ingest = IngestDouble(gateway)
        self.flowed_after_s = 0.0

    async def happen(self, *, hours: float) -> SpoolView:
        """Stop the broker for *hours* of the sensors; return the spool at the end."""
        grants = [
            grant(handle, [sensor], [Rule(code)])
            for handle, sensor, code in zip(_HANDLES, _SENSORS, _CODES, strict=True)
        ]
        days = lease(*grants, agent=self.gateway.agent, issued_at_ms=now_ms(), for_ms=72 * HOUR_MS)
        await self.gateway.publish_lease(days)
        async with self.ingest.running(), self.agent.running():
            self.agent.household.hurries = True
            await self.ingest.until(lambda: bool(self.ingest.observations), within_s=30)
            await self._settle()
            self.gateway.broker.kill()
            self.agent.household.rests = False
            await self._pass(hours)
            self.gateway.broker.start()
            await self._flow()
            await self._settle()
        return self.view()

    async def _settle(self) -> None:
        """
        Pause the sensors until no envelope is under way, because only then the counts can be
        compared.
        """
        self.agent.household.rests = True
        await self.ingest.until(self._has_settled, within_s=900)

    def _has_settled(self) -> bool:
        """Tell whether no observation waits any more, in memory or in the spool."""
        view = self.view()
        is_kept = view.totals["appended"].observations == self.measured
        return is_kept and view.stats.depth == 0

    @property
    def measured(self) -> int:
        """The number of readings taken."""
        return sum(map(len, self.agent.household.times.values()))

    async def _pass(self, hours: float) -> None:
        until_ms = self.agent.clock.now_ms() + hours * HOUR_MS
        self.agent.household.hurries = True
        while self.agent.clock.now_ms() < until_ms:  # noqa: ASYNC110 - the agent's clock
            await asyncio.sleep(0.01)
        self.agent.household.hurries = False

    async def _flow(self) -> None:
        """Wait for a reading that was taken after the broker came back."""
        began, back_ms, looked = time.monotonic(), self.agent.clock.now_ms(), 0

        def is_fresh() -> bool:
            nonlocal looked
            new, looked = self.ingest.observations[looked:], len(self.ingest.observations)
            return any(at_ms >= back_ms for _, _, at_ms, _ in new)

        await self.ingest.until(is_fresh, within_s=_FLOWS_WITHIN_S)
        self.flowed_after_s = time.monotonic() - began

    def view(self) -> SpoolView:
        """Return the view of the spool."""
        return inspection.look(self.gateway.settings.state_dir)

    def missing(self) -> Counter[str]:
        """
        Return how many readings of each sensor did not arrive; check that none arrived
        twice.
        """
        missing: Counter[str] = Counter()
        for handle, sensor in zip(_HANDLES, _SENSORS, strict=True):
            times = [at_ms for whose, _, at_ms, _ in self.ingest.observations if whose == handle]
            measured = set(self.agent.household.times[sensor])
            assert len(times) == len(set(times))
            assert measured.issuperset(times)
            missing[sensor] = len(measured) - len(times)
        return missing

    def check(self, view: SpoolView) -> None:
        """Compare the counts of agent, spool and ingest."""
        totals = view.totals
        assert verification.verify(self.gateway.settings.state_dir).problems == []
        measured = self.measured
        assert totals["appended"].observations == measured
        assert totals["settled"].observations == len(self.ingest.observations)
        given_up = totals["evicted"].observations
        assert measured == len(self.ingest.observations) + given_up
        assert sum(gap.observations for gap in view.gaps) == given_up
        assert sum(gap.envelopes for gap in view.gaps) == totals["evicted"].envelopes
        assert self.missing().total() == given_up
        sys.stdout.write(
            f"{measured} readings, {given_up} given up, {totals['appended'].envelopes} envelopes;"
            f" flows again after {self.flowed_after_s:.1f} s\n"
        )


def now_ms() -> int:
    """Return the time of day, ms since 1970."""
    return time.time_ns() // 1_000_000


@pytest.fixture
def gateway(run_folder: Path, broker: Mosquitto, certificates: Certificates) -> Gateway:
    """A gateway for this test alone, with the batches of a real one."""
    gateway = Gateway(run_folder / f"outage-{broker.port}", broker, certificates)
    gateway.settings = msgspec.structs.replace(
        gateway.settings,
        batch=BatchSettings(),
        publish=PublishSettings(longest_wait_s=4.0, backlog_per_s=1000.0),
    )
    return gateway


def holding(gateway: Gateway, *, max_bytes: int, max_age_s: float) -> Outage:
    """Return an outage of a gateway with these limits of its spool."""
    spool = SpoolSettings(max_bytes=max_bytes, max_age_s=max_age_s, min_free_bytes=0)
    gateway.settings = msgspec.structs.replace(gateway.settings, spool=spool)
    return Outage(gateway)


async def test_an_outage_loses_nothing(gateway: Gateway) -> None:
    """After half an hour every reading of six sensors arrives once, the newest first."""
    outage = Outage(gateway)
    outage.check(await outage.happen(hours=0.5))
    assert outage.missing().total() == 0


async def test_a_small_spool_gives_up_heart_rates_and_says_so(gateway: Gateway) -> None:
    """
    A small spool gives up heart rates first, records each in a gap, and keeps glucose and the
    newest.
    """
    outage = holding(gateway, max_bytes=200_000, max_age_s=1e6)
    view = await outage.happen(hours=0.5)
    outage.check(view)
    given_up = view.totals["evicted"].observations
    assert given_up > 0
    assert outage.agent.value("purged_observations_total", reason="evicted_bytes") == given_up
    assert {(gap.reason, gap.worth) for gap in view.gaps} == {("evicted_bytes", "streamed")}
    missing = outage.missing()
    assert missing[METER] == missing[CGM] == 0


async def test_what_is_too_old_is_given_up_by_age(gateway: Gateway) -> None:
    """Readings beyond the maximum age are given up, glucose as well, and each is in a gap."""
    outage = holding(gateway, max_bytes=1 << 28, max_age_s=900.0)
    view = await outage.happen(hours=0.5)
    outage.check(view)
    given_up = view.totals["evicted"].observations
    assert given_up >= 4 * 850
    assert outage.agent.value("purged_observations_total", reason="evicted_age") == given_up
    assert {gap.reason for gap in view.gaps} == {"evicted_age"}


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_day_without_a_broker_loses_nothing(gateway: Gateway) -> None:
    """
    After 24 hours every reading arrives once, although the agent's attempts have become
    rare.
    """
    publish = PublishSettings(backlog_per_s=1000.0)
    gateway.settings = msgspec.structs.replace(gateway.settings, publish=publish)
    outage = Outage(gateway)
    outage.check(await outage.happen(hours=24))
    assert outage.missing().total() == 0

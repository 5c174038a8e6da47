"""The agent's radio over hours of virtual time: exact counts, and constant memory."""

import os
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from edge_agent.bluetooth.sensors import RadioTimeouts
from edge_agent.values.measurement import Measurement
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.device.faults import Faults
from simulators.sensor.device.peripheral import Peripheral
from simulators.sensor.kinds.cgm import CgmSensor
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from simulators.sensor.kinds.heart_rate_strap import HeartRateStrap
from simulators.sensor.signals import Reading, Strip
from tests.bluetooth.air import CGM, METER, radio
from tests.bluetooth.hurry import HurriedClock, hurry
from tests.bluetooth.straps import counting
from tests.fakes.bluetooth import Collector, ToldHost, collecting
from tests.fixtures.link import AirLink
from tests.support.readings import value_of
from wire.quantities import Code

STRAPS = [f"C0:FF:EE:00:00:1{n}" for n in range(4)]
CGM_EVERY_MIN = 5
STRIP_EVERY_MIN = 20
SETTLED_MIN = 20
MB = 1 << 20


class Tally:
    """Counts the measurements taken, and keeps none of them."""

    def __init__(self) -> None:
        self.live: Counter[str] = Counter()
        self.last: dict[str, int] = {}
        self.out_of_order = 0
        self.records: Counter[tuple[str, int]] = Counter()

    def take(self, taken: list[Measurement]) -> None:
        """Count *taken*, and empty the list."""
        for one in taken:
            if one.record is not None:
                self.records[one.sensor, one.record] += 1
            elif one.quantity == Code.HEART_RATE:
                self._count(one.sensor, int(value_of(one) or 0))
        taken.clear()

    def _count(self, strap: str, rate: int) -> None:
        # Rates count in a circle of 100: a small step forward is in order, whatever a drop has
        # lost.
        step = (rate - self.last.get(strap, rate - 1)) % 100
        self.out_of_order += not 0 < step < 50
        self.last[strap] = rate
        self.live[strap] += 1


class Home(msgspec.Struct, frozen=True):
    """The sensors of one home."""

    straps: list[HeartRateStrap]
    cgm: CgmSensor
    meter: GlucoseMeter

    @property
    def sensors(self) -> list[Peripheral]:
        """All sensors of the home."""
        return [*self.straps, self.cgm, self.meter]

    async def live_a_minute(self, minute: int) -> None:
        """Take the measurements that are due in *minute*."""
        if minute % CGM_EVERY_MIN == 0:
            await self.cgm.tell_all(self.cgm.measure(Reading(5.0 + minute % 50 / 10)))
        if minute % STRIP_EVERY_MIN == 0:
            self.meter.measure(Strip(6.0))
        for sensor in self.sensors:
            sensor.sent.clear()


def home(clock: HurriedClock) -> Home:
    """Return a home whose sensors drop their links every few minutes."""
    straps = [
        HeartRateStrap(address, counting(), period_s=1.0, faults=Faults(f"drop@{first}-/{first}"))
        for first, address in zip((301, 487, 599, 733), STRAPS, strict=True)
    ]
    cgm = CgmSensor(CGM, clock.seconds, faults=Faults("drop@4-/5"))
    meter = GlucoseMeter(METER, SensorClock(clock.seconds), faults=Faults("drop@3-/7"))
    return Home(straps, cgm, meter)


def resident_bytes() -> int:
    """Return the resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def live(minutes: int) -> tuple[Home, Tally, Collector, list[int]]:
    """Run a home for *minutes*; return the home, the tally, and the memory at each minute."""
    clock, tally, memory = HurriedClock(), Tally(), list[int]()
    here = home(clock)
    link = AirLink()
    await link.adapter.switch_on(link.air)
    for sensor in here.sensors:
        await link.add(sensor)
    cursors = {sensor.address: 0 for sensor in here.sensors}
    async with collecting(
        radio(link), ToldHost(), cursors, patience=RadioTimeouts(), clock=clock
    ) as collector:
        for minute in range(minutes):
            await here.live_a_minute(minute)
            await collector.during(60.0)
            tally.take(collector.taken)
            memory.append(resident_bytes())
        await collector.during(200.0)
        tally.take(collector.taken)
        counted = [s.books.notifications for s in here.straps]
        assert [tally.live[s.address] for s in here.straps] == pytest.approx(counted, abs=15)
    await link.close()
    return here, tally, collector, memory


def assert_exact(here: Home, tally: Tally, collector: Collector, minutes: int) -> None:
    """Check that no measurement came twice, out of order, or not at all."""
    assert tally.out_of_order == 0
    assert set(tally.records.values()) == {1}
    expected = {
        CGM: (minutes - 1) // CGM_EVERY_MIN + 1,
        METER: (minutes - 1) // STRIP_EVERY_MIN + 1,
    }
    assert Counter(sensor for sensor, _ in tally.records) == expected
    assert all(strap.books.drops >= minutes * 60 // 740 for strap in here.straps)
    assert not collector.refused


def test_minutes_of_a_home_are_exact() -> None:
    """In ten minutes each stored record comes once, and each live value at most once, in order."""
    minutes = 10
    here, tally, collector, _ = hurry(live(minutes))

    assert_exact(here, tally, collector, minutes)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_hours_of_a_home_are_exact_and_flat() -> None:
    """In two hours of four straps at 1 Hz, a CGM sensor and a meter, memory does not grow."""
    minutes, began = 120, time.monotonic()
    here, tally, collector, memory = hurry(live(minutes))

    grown = memory[-1] - memory[SETTLED_MIN]
    sys.stdout.write(
        f"{minutes} minutes in {time.monotonic() - began:.0f} s: {sum(tally.live.values())} heart "
        f"rates, {len(tally.records)} records, {sum(s.books.drops for s in here.sensors)} drops; "
        f"{memory[SETTLED_MIN] / MB:.1f} MB, and {grown / MB:+.1f} MB at the end\n"
    )
    assert_exact(here, tally, collector, minutes)
    assert grown < 3 * MB

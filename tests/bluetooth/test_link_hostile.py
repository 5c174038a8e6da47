"""
Hostile sensors beside an honest one: they are counted and limited, and the honest one is
heard.
"""

import asyncio
import itertools
import random
import time

import pytest
from bumble import ll
from bumble.hci import Address

from edge_agent.bluetooth.records import record_access, record_assembler
from edge_agent.gatt import heart_rate, racp
from edge_agent.gatt.racp import Count, RacpOpCode, RacpResponse, RacpResponseCode
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.device.gatt_server import advertisement
from simulators.sensor.device.record_access import CONTROL_POINT
from simulators.sensor.kinds.glucose_meter import MEASUREMENT, GlucoseMeter
from simulators.sensor.signals import Strip
from tests.bluetooth.air import METER, PERIOD_S, STRAP, fetches, meter_with, places, radio
from tests.bluetooth.straps import strap
from tests.fakes.bluetooth import Collector, ToldHost, collecting
from tests.fixtures.link import AirLink
from tests.support.readings import value_of
from wire.quantities import Code

FAT = "C0:FF:EE:00:00:99"


def of_the_good(collector: Collector) -> list[float | None]:
    """Return the heart rates of the honest strap."""
    return [value_of(m) for m in collector.of(Code.HEART_RATE, sensor=STRAP)]


async def test_fat_values_crowd_nobody_out(link: AirLink) -> None:
    """Values with 120 intervals, as often as allowed, take no room from another sensor."""
    good = await link.add(strap(period_s=PERIOD_S))
    await link.add(strap("oversized", address=FAT, period_s=1 / 30))

    async with collecting(radio(link), ToldHost(), {STRAP: 0, FAT: 0}) as collector:
        await collector.until(lambda: len(collector.of(Code.RR_INTERVAL, sensor=FAT)) >= 8000)
        await collector.until(lambda: len(of_the_good(collector)) >= 50)

    came = of_the_good(collector)
    assert came == [heart_rate.decode(value).heart_rate_bpm for value in good.sent][: len(came)]
    assert good.books.connections == 1
    assert collector.value("dropped_notifications_total", reason="no_room") == 0
    assert all(value_of(m) is None for m in collector.of(Code.RR_INTERVAL, sensor=FAT)[200:])


class Babbler(GlucoseMeter):
    """Sends its one record a thousand times a second to every subscriber, requested or not."""

    async def run(self) -> None:
        (value, *_) = self.measure(Strip(6.0), ago_s=60.0).values
        while True:
            for one in await self.subscribers(MEASUREMENT):
                await one.notify(*value)
            await asyncio.sleep(0.001)


async def test_a_meter_that_babbles_is_left(
    link: AirLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that were not requested are counted, and a repeated record is handed over once."""
    monkeypatch.setattr(record_assembler, "MAX_REPEATED", 300)
    good = await link.add(strap(period_s=PERIOD_S))
    await link.add(Babbler(METER, SensorClock(lambda: 1_790_000_000.0)))

    async with collecting(radio(link), ToldHost(), {STRAP: 0, METER: 0}) as collector:
        await collector.until(
            lambda: (
                collector.value("sensor_attempts_total", ending="endless") >= 1
                or fetches(collector) >= 3
            )
        )
        before = len(of_the_good(collector))
        await collector.until(lambda: len(of_the_good(collector)) >= before + 25)

    assert len(collector.taken_of_records()) <= 1
    assert good.books.connections == 1
    assert collector.value("dropped_notifications_total", reason="unasked") >= 1
    assert not collector.refused


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param({"LONGEST_S": 0.5}, id="too-long"),
        pytest.param({"MAX_VALUES": 50}, id="too-many"),
    ],
)
async def test_a_report_that_drags_on_is_ended(
    link: AirLink, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, float]
) -> None:
    """A slow report that repeats its records is aborted, and the sensor is disconnected."""
    for name, bound in bounds.items():
        monkeypatch.setattr(record_access, name, bound)
    meter = await link.add(meter_with(3, "endless@3"))
    meter.access.gap_s = 0.02

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="endless") >= 1, within_s=20
        )
        assert meter.access.requests[-1][:1] == bytes((RacpOpCode.ABORT,))


class Mutterer(GlucoseMeter):
    """Sends, between its own answers, answers that were not requested and malformed ones."""

    async def run(self) -> None:
        deleted = racp.encode_response(RacpResponse(RacpOpCode.DELETE, RacpResponseCode.SUCCESS))
        combined = racp.encode_response(Count(RacpOpCode.COMBINED_RESPONSE, 7))
        for answer in itertools.cycle((b"", b"\xff" * 20, deleted, combined)):
            for one in await self.subscribers(CONTROL_POINT):
                await one.indicate(CONTROL_POINT, answer)
            await asyncio.sleep(0.002)


async def test_a_meter_that_mutters_is_understood(link: AirLink) -> None:
    """Foreign and malformed answers are ignored: all records come, once each."""
    meter = Mutterer(METER, SensorClock(time.time))
    for _ in range(20):
        meter.measure(Strip(6.0), ago_s=60.0)
    meter.access.gap_s = 0.02
    await link.add(meter)

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 21)]


async def test_a_crowd_of_strangers_hides_nobody(link: AirLink) -> None:
    """
    Among thousands of addresses in a few seconds the bound sensor is found, and none is
    stored.
    """
    crowd, dice = link.air.radio("crowd"), random.Random(7)
    data = advertisement("\x1b]0;owned\x07", (0x180D,))

    async def shout() -> None:
        while True:
            for _ in range(20):
                stranger = Address.generate_static_address()
                crowd.send_advertising_pdu(ll.AdvInd(advertiser_address=stranger, data=data))
            await asyncio.sleep(dice.uniform(0.005, 0.015))

    shouting = asyncio.create_task(shout())
    await link.add(strap(period_s=PERIOD_S))
    async with collecting(radio(link), ToldHost(), {STRAP: 0, METER: 0}) as collector:
        await collector.until(
            lambda: collector.value("advertisements_total", sender="stranger") >= 1000,
            within_s=20,
        )
        await collector.until(lambda: len(of_the_good(collector)) >= 25, within_s=20)
    shouting.cancel()

    assert {m.sensor for m in collector.taken} == {STRAP}
    assert collector.value("sensor_connections_total") == 1

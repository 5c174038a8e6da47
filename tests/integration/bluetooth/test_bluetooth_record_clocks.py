"""The clocks of sensors that keep records: which are believed, which are set, and when."""

import datetime as dt
import time

import msgspec
import pytest

from edge_agent.bluetooth.session import ClockPolicy, SessionTiming
from simulators.sensor.device.attributes import Service
from simulators.sensor.signals import Reading, Strip
from tests.bluetooth.air import CGM, METER, fetches, meter_with, places, radio, sensor_with
from tests.fakes.bluetooth import QUICK, SettableClock, ToldHost, collecting
from tests.fixtures.link import AirLink
from wire.quantities import Code
from wire.refusals import Refusal


@pytest.mark.parametrize("ahead_s", [-86_400.0 * 400, -300.0, 0.0, 7200.0])
async def test_records_are_dated_by_our_clock(link: AirLink, ahead_s: float) -> None:
    """
    Records have the right time, however wrong the meter's clock is, and the clock is not
    set.
    """
    meter = await link.add(meter_with(5, ahead_s=ahead_s))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    ages_s = [time.time() - m.at_ms / 1000 for m in collector.of(Code.GLUCOSE_CAPILLARY)]
    assert ages_s == [pytest.approx(60.0 * (5 - n), abs=5.0) for n in range(5)]
    assert meter.clock.times_set == 0


async def test_a_clock_that_cannot_be_read_dates_nothing(link: AirLink) -> None:
    """
    Records of a clock that cannot be read are refused as undated, unless the operator trusts the
    clock.
    """
    meter = meter_with(3)
    meter.clock.service = lambda: Service(0x1805, ())  # type: ignore[method-assign]
    await link.add(meter)

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)
    trust = ClockPolicy(assume_local=True)
    async with collecting(radio(link), ToldHost(), {METER: 0}, trust=trust) as trusting:
        await trusting.until(lambda: len(trusting.taken_of_records()) >= 3)

    assert {m.fault for m in collector.taken_of_records()} == {Refusal.UNDATED}
    # The clock of this virtual meter shows UTC, so the records are off by the zone of this
    # machine.
    zone_s = (dt.datetime.now().astimezone().utcoffset() or dt.timedelta()).total_seconds()
    ages_s = [time.time() - m.at_ms / 1000 for m in trusting.taken_of_records()]
    assert ages_s == [pytest.approx(60.0 * (3 - n) + zone_s, abs=5.0) for n in range(3)]


async def test_a_clock_is_set_after_all_is_fetched(link: AirLink) -> None:
    """
    A wrong clock is set only if the operator allows it, and only after its records were fetched
    and dated.
    """
    meter = await link.add(meter_with(3, ahead_s=-7200.0))

    trust = ClockPolicy(set_clocks=True)
    async with collecting(radio(link), ToldHost(), {METER: 0}, trust=trust) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.until(lambda: meter.clock.times_set == 1)
        meter.measure(Strip(9.0))
        await collector.until(lambda: len(collector.taken_of_records()) >= 4)
        await collector.until(lambda: fetches(collector) >= 3)

    ages_s = [time.time() - m.at_ms / 1000 for m in collector.taken_of_records()]
    assert ages_s == [pytest.approx(60.0 * (3 - n), abs=5.0) for n in range(4)]
    assert meter.clock.times_set == 1
    assert collector.value("corrected_clocks_total") == 1


async def test_no_clock_is_set_by_one_that_nobody_believes(link: AirLink) -> None:
    """No sensor's clock is set while the time is unknown to the agent."""
    meter = await link.add(meter_with(3, ahead_s=-7200.0))
    clock = SettableClock()
    clock.is_known = False

    trust = ClockPolicy(set_clocks=True)
    async with collecting(
        radio(link), ToldHost(), {METER: 0}, clock=clock, trust=trust
    ) as collector:
        await collector.until(lambda: fetches(collector) >= 2)
        assert meter.clock.times_set == 0
        clock.is_known = True
        await collector.until(lambda: meter.clock.times_set == 1)


async def test_a_session_is_known_by_its_minutes_while_nobody_knows_the_time(
    link: AirLink,
) -> None:
    """
    While the time is unknown, a session is recognised by its minutes and not taken for a
    new one.
    """
    await link.add(sensor_with(3))
    clock = SettableClock()

    async with collecting(radio(link), ToldHost(), {CGM: 0}, clock=clock) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)
    clock.is_known, clock.ahead_ms = False, -300 * 86_400_000
    cursor = {CGM: collector.taken_of_records()[-1].record or 0}
    async with collecting(radio(link), ToldHost(), cursor, clock=clock) as awake:
        await awake.until(lambda: fetches(awake) >= 1)
        await awake.during(0.1)

    assert not awake.taken_of_records()
    assert awake.value("sensor_resets_total") == 0


async def test_records_of_before_a_clock_was_set_keep_their_time(link: AirLink) -> None:
    """Records from before and after the owner set the clock all have the right time."""
    meter = await link.add(meter_with(3, ahead_s=-7200.0))
    meter.clock.set(meter.clock.shown() + dt.timedelta(hours=2))
    meter.measure(Strip(9.0))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 4)

    ages_s = [time.time() - m.at_ms / 1000 for m in collector.taken_of_records()]
    assert ages_s == [pytest.approx(60.0 * (3 - n), abs=65.0) for n in range(4)]


async def test_a_step_of_our_clock_ends_a_visit(link: AirLink) -> None:
    """When this machine's clock is set, the session's clock is read again."""
    sensor = await link.add(sensor_with(2))
    clock = SettableClock()
    clock.ahead_ms = -3_600_000

    trust = ClockPolicy(set_clocks=True)
    patience = msgspec.structs.replace(QUICK, timing=SessionTiming())
    async with collecting(
        radio(link), ToldHost(), {CGM: 0}, clock=clock, trust=trust, patience=patience
    ) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 2)
        clock.ahead_ms = 0
        await collector.until(lambda: sensor.books.connections >= 2)
        await collector.during(0.3)
        await sensor.tell_all(sensor.measure(Reading(7.0)))
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)

    assert time.time() - collector.taken_of_records()[-1].at_ms / 1000 < 65
    assert places(collector.taken_of_records()) == [(0, 0), (0, 5), (0, 8 * 60)]

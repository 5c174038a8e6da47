"""The radio over virtual sensors on the air: what comes in, and what a bad day does to it."""

import datetime as dt
import time

import pytest

from edge_agent.bluetooth import place
from edge_agent.bluetooth.client import Radio
from edge_agent.bluetooth.session import Trust
from edge_agent.gatt import heart_rate
from edge_agent.gatt.glucose_context import Meal
from edge_agent.measurement import Fault, Measurement, Reason
from simulators.sensor.attributes import Service
from simulators.sensor.cgm import CgmSensor
from simulators.sensor.clock import SensorClock
from simulators.sensor.faults import Faults
from simulators.sensor.meter import GlucoseMeter
from simulators.sensor.peripheral import Security
from simulators.sensor.shown import WARMING_UP, Reading, Strip
from tests.bluetooth.straps import strap
from tests.fakes_bluetooth import Collector, SettableClock, ToldHost, collecting
from tests.fix_link import AirLink
from wire.quantities import Code

STRAP = "C0:FF:EE:00:00:01"
METER = "C0:FF:EE:00:00:02"
CGM = "C0:FF:EE:00:00:03"
PERIOD_S = 0.04


def radio(link: AirLink) -> Radio:
    """Return what reaches the sensors of *link*."""
    return Radio(scanner_type=link.scanner_type, client_type=link.client_type, call_s=2.0)


def meter_with(
    count: int, *faults: str, ahead_s: float = 0.0, security: Security | None = None
) -> GlucoseMeter:
    """Return a meter with *count* records, a minute apart; each third has a context."""
    clock = SensorClock(time.time, ahead_s=ahead_s)
    meter = GlucoseMeter(METER, clock, faults=Faults(*faults), security=security)
    fill(meter, count)
    return meter


def fill(meter: GlucoseMeter, count: int) -> None:
    """Let *meter* measure *count* times."""
    for n in range(count):
        meal = Meal.FASTING if n % 3 == 0 else None
        meter.measure(Strip(5.0 + n / 100, meal), ago_s=60.0 * (count - n))


def sensor_with(count: int, *faults: str) -> CgmSensor:
    """Return a sensor in the eighth hour of its session, with a record each five minutes."""
    sensor = CgmSensor(CGM, time.time, faults=Faults(*faults))
    sensor.session.begin(ago_s=8 * 3600.0)
    for n in range(count):
        sensor.measure(Reading(6.0 + n / 10), minute=5 * n)
    return sensor


def rates(collector: Collector) -> list[float | None]:
    """Return the heart rates that came."""
    return [m.value for m in collector.of(Code.HEART_RATE)]


def places(measurements: list[Measurement]) -> list[tuple[int, int]]:
    """Return the generation and sequence of each record."""
    found = [place.decode(m.record or 0) for m in measurements]
    return [(p.generation, p.sequence) for p in found if p is not None]


def fetches(collector: Collector) -> float:
    """Return how often all records were fetched."""
    return collector.value("record_fetches_total")


async def flow(collector: Collector, count: int = 5, *, within_s: float = 10.0) -> float:
    """Wait for *count* more heart rates, and return how long that took."""
    began, before = time.monotonic(), len(rates(collector))
    await collector.until(lambda: len(rates(collector)) >= before + count, within_s=within_s)
    return time.monotonic() - began


async def test_four_straps_do_not_mix(link: AirLink) -> None:
    """Each value of each strap is handed over once, in order, under its own address."""
    addresses = [f"C0:FF:EE:00:00:{n:02X}" for n in range(1, 5)]
    straps = [await link.add(strap(address=a, period_s=PERIOD_S)) for a in addresses]

    async with collecting(radio(link), ToldHost(), dict.fromkeys(addresses, 0)) as collector:
        await collector.until(
            lambda: all(len(collector.of(Code.HEART_RATE, sensor=a)) >= 25 for a in addresses)
        )
        # The sensors' deques and ours are compared up to what has been taken by now.
        taken = [[m.value for m in collector.of(1, sensor=a)] for a in addresses]

    for values, one in zip(taken, straps, strict=True):
        sent = [heart_rate.decode(value).heart_rate_bpm for value in one.sent]
        assert values == sent[: len(values)]
        assert one.books.connections == 1


async def test_all_records_of_a_meter_come_in_order(link: AirLink) -> None:
    """A report of a memory is handed over record by record, each judged with its context."""
    await link.add(meter_with(100))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    taken = collector.of(Code.GLUCOSE_CAPILLARY)
    assert places(taken) == [(0, n) for n in range(1, 101)]
    assert [m.value for m in taken] == [pytest.approx(5.0 + n / 100) for n in range(100)]
    assert all(m.fault is None for m in taken)


@pytest.mark.parametrize("ahead_s", [-86_400.0 * 400, -300.0, 0.0, 7200.0])
async def test_records_are_dated_by_our_clock(link: AirLink, ahead_s: float) -> None:
    """However wrong a meter's clock is, its records get the time at which they were taken."""
    await link.add(meter_with(5, ahead_s=ahead_s))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    ages_s = [time.time() - m.at_ms / 1000 for m in collector.of(Code.GLUCOSE_CAPILLARY)]
    assert ages_s == [pytest.approx(60.0 * (5 - n), abs=5.0) for n in range(5)]


async def test_a_clock_that_cannot_be_read_dates_nothing(link: AirLink) -> None:
    """Records are refused as undated, unless the operator trusts the meter's clock."""
    meter = meter_with(3)
    meter.clock.service = lambda: Service(0x1805, ())  # type: ignore[method-assign]
    await link.add(meter)

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)
    trust = Trust(assume_local=True)
    async with collecting(radio(link), ToldHost(), {METER: 0}, trust=trust) as trusting:
        await trusting.until(lambda: len(trusting.taken_of_records()) >= 3)

    assert {m.fault for m in collector.taken_of_records()} == {Fault.UNDATED}
    # The meter shows UTC, as nobody's meter does; so the zone of this machine tells.
    zone_s = (dt.datetime.now().astimezone().utcoffset() or dt.timedelta()).total_seconds()
    ages_s = [time.time() - m.at_ms / 1000 for m in trusting.taken_of_records()]
    assert ages_s == [pytest.approx(60.0 * (3 - n) + zone_s, abs=5.0) for n in range(3)]


async def test_a_clock_is_set_after_all_is_fetched(link: AirLink) -> None:
    """Only if the operator wants it, and what was stamped by the wrong clock is dated before."""
    meter = await link.add(meter_with(3, ahead_s=-7200.0))

    trust = Trust(set_clocks=True)
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


async def test_records_of_before_a_clock_was_set_keep_their_time(link: AirLink) -> None:
    """The owner sets her clock, measures once more, and all records are dated right."""
    meter = await link.add(meter_with(3, ahead_s=-7200.0))
    meter.clock.set(meter.clock.shown() + dt.timedelta(hours=2))
    meter.measure(Strip(9.0))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 4)

    ages_s = [time.time() - m.at_ms / 1000 for m in collector.taken_of_records()]
    assert ages_s == [pytest.approx(60.0 * (3 - n), abs=65.0) for n in range(4)]


async def test_a_step_of_our_clock_ends_a_visit(link: AirLink) -> None:
    """What was learned of a session's clock by ours is learned anew when ours was set."""
    sensor = await link.add(sensor_with(2))
    clock = SettableClock()
    clock.ahead_ms = -3_600_000

    trust = Trust(set_clocks=True)
    async with collecting(
        radio(link), ToldHost(), {CGM: 0}, clock=clock, trust=trust
    ) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 2)
        clock.ahead_ms = 0
        await collector.until(lambda: sensor.books.connections >= 2)
        await collector.during(0.3)
        await sensor.tell_all(sensor.measure(Reading(7.0)))
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)

    assert time.time() - collector.taken_of_records()[-1].at_ms / 1000 < 65
    assert places(collector.taken_of_records()) == [(0, 0), (0, 5), (0, 8 * 60)]


@pytest.mark.parametrize("place_", [1, 2, 3, 40, 133, 134])
async def test_a_drop_at_any_value_loses_and_doubles_nothing(link: AirLink, place_: int) -> None:
    """After a drop the rest is fetched from the last record that is durable."""
    await link.add(meter_with(100, f"drop@{place_ + 2}"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 101)]


async def test_nothing_durable_is_fetched_twice(link: AirLink) -> None:
    """Asked again, a meter is only asked for what came since."""
    meter = await link.add(meter_with(3))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 2)
        meter.measure(Strip(9.0))
        await collector.until(lambda: len(collector.taken_of_records()) >= 4)
        await collector.until(lambda: fetches(collector) >= 4)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 5)]
    assert not any(request[:1] == b"\x02" for request in meter.access.requests)


async def test_what_is_not_durable_is_fetched_again(link: AirLink) -> None:
    """The cursor that counts is that of the port: what was taken, and lost, comes once more."""
    await link.add(meter_with(4))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        collector.keeps = False
        await collector.until(lambda: fetches(collector) >= 2)
        await collector.during(0.05)

    assert places(collector.taken_of_records())[:8] == [(0, n) for n in (1, 2, 3, 4)] * 2


@pytest.mark.parametrize("grown", [1, 4, 5, 9])
async def test_a_meter_that_was_reset_is_noticed(link: AirLink, grown: int) -> None:
    """After a reset the same sequences are new records, also when they have grown past ours."""
    meter = await link.add(meter_with(5))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await meter.hide()
        meter.reset()
        fill(meter, grown)
        await meter.appear()
        await collector.until(lambda: len(collector.taken_of_records()) >= 5 + grown)
        await collector.during(0.3)

    old, new = [(0, n) for n in range(1, 6)], [(1, n) for n in range(1, grown + 1)]
    assert places(collector.taken_of_records()) == old + new
    assert collector.value("sensor_resets_total") == 1
    ages_s = [time.time() - m.at_ms / 1000 for m in collector.taken_of_records()[5:]]
    assert ages_s == [pytest.approx(60.0 * (grown - n), abs=5.0) for n in range(grown)]


@pytest.mark.parametrize("fault", ["busy@1", "server-busy@1-2", "unanswered@2", "uncompleted@2"])
async def test_a_meter_in_a_bad_mood_is_asked_again(link: AirLink, fault: str) -> None:
    """Busy, mute or cut short: in the end every record is there, once."""
    await link.add(meter_with(10, fault))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert sorted(set(places(collector.taken_of_records()))) == [(0, n) for n in range(1, 11)]


@pytest.mark.slow
async def test_an_endless_report_is_ended(link: AirLink) -> None:
    """A meter that repeats itself for ever is left, and what it had is handed over once."""
    meter = await link.add(meter_with(3, "endless@2"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="endless") >= 1, within_s=60
        )
        meter.faults.clear()
        await collector.until(lambda: fetches(collector) >= 1)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 4)]


async def test_what_is_no_glucose_moves_the_cursor_all_the_same(link: AirLink) -> None:
    """A ketone is refused by name, and not fetched for ever."""
    meter = await link.add(meter_with(0, "ketone@2"))
    for _ in range(3):
        meter.measure(Strip(6.0))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 3)

    taken = collector.taken_of_records()
    assert [m.fault for m in taken] == [None, Fault.KETONE, None]


async def test_a_malformed_record_is_counted_and_skipped(link: AirLink) -> None:
    """What does not decode is refused; the records around it are good."""
    await link.add(meter_with(4, "malformed@6"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert collector.refused[Reason.MALFORMED] == 1
    assert len(collector.taken_of_records()) == 3


async def test_a_session_is_caught_up_and_followed(link: AirLink) -> None:
    """What a CGM sensor has stored comes first, then what it tells, in one order."""
    sensor = await link.add(sensor_with(20))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 20)
        await sensor.tell_all(sensor.measure(Reading(7.0), minute=100))
        await sensor.drop()
        sensor.measure(Reading(7.1), minute=105)
        await collector.until(lambda: len(collector.taken_of_records()) >= 22)

    taken = collector.taken_of_records()
    assert places(taken) == [(0, 5 * n) for n in range(22)]
    age_s = time.time() - taken[10].at_ms / 1000
    assert age_s == pytest.approx(8 * 3600 - 50 * 60, abs=65)


async def test_a_new_session_is_a_new_generation(link: AirLink) -> None:
    """Minutes that begin again are not taken for seen."""
    sensor = await link.add(sensor_with(20))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 20)
        sensor.memory.clear()
        sensor.session.begin(ago_s=600.0)
        await sensor.tell_all(sensor.measure(Reading(5.5), minute=10))
        await collector.until(lambda: len(collector.taken_of_records()) >= 21)

    assert places(collector.taken_of_records())[20:] == [(1, 10)]
    assert collector.value("sensor_resets_total") == 1


async def test_a_warm_up_is_refused_and_a_wrong_check_too(link: AirLink) -> None:
    """Neither a frame of warm-up nor one whose check fails becomes a value."""
    sensor = await link.add(sensor_with(3, "wrong-crc@2"))
    sensor.measure(WARMING_UP, minute=15)

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)

    assert [m.fault for m in collector.taken_of_records()] == [None, None, Fault.WARM_UP]
    assert collector.value(
        "decode_errors_total", characteristic="cgm_measurement", reason="bad_crc"
    )


async def test_a_flood_is_bounded_and_left(link: AirLink) -> None:
    """A strap at 1 kHz is thinned out, counted, and in the end left alone; others go on."""
    await link.add(strap("flood=1000@1-", address="C0:FF:EE:00:00:99"))
    await link.add(strap(period_s=PERIOD_S))

    cursors = {STRAP: 0, "C0:FF:EE:00:00:99": 0}
    async with collecting(radio(link), ToldHost(), cursors) as collector:
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="flooding") >= 1, within_s=20
        )
        await flow(collector)

    assert collector.refused[Reason.FLOOD] >= 2000
    assert len(collector.of(Code.HEART_RATE, sensor="C0:FF:EE:00:00:99")) < 600


async def test_oversized_values_are_counted(link: AirLink) -> None:
    """A value that is all padding is refused or cut to its sense, and nothing breaks."""
    await link.add(strap("oversized@1-5", period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector, 20)


async def test_a_name_with_control_characters_harms_nothing(link: AirLink) -> None:
    """What a sensor calls itself is nothing that we look at."""
    hostile = strap(period_s=PERIOD_S)
    hostile.name = "\x1b[2J\x00\r\nHR"
    await link.add(hostile)

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)


async def test_values_do_not_multiply_over_drops(link: AirLink) -> None:
    """After each drop every value comes once, and no registration is left behind."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        for _ in range(4):
            await flow(collector)
            await one.drop()
        await flow(collector)

    assert len(rates(collector)) <= len(one.sent)
    assert +link.adapter.registrations == {}


async def test_a_sensor_that_comes_back_is_heard_again(link: AirLink) -> None:
    """Out of reach and back: data flow without anybody's doing."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)
        await one.hide()
        await collector.during(1.0)
        await one.appear()
        took_s = await flow(collector)

    assert took_s < 3


async def test_a_hang_is_survived(link: AirLink) -> None:
    """When no call returns, each is given up; once they do, data flow again."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)
        link.adapter.hang()
        await one.drop()
        await collector.during(1.0)
        link.adapter.recover()
        await flow(collector, within_s=30)


async def test_the_death_of_the_host_ends_every_link(link: AirLink) -> None:
    """Told that bluetoothd is gone, nobody waits for a goodbye."""
    one = await link.add(strap(period_s=PERIOD_S))
    host = ToldHost()

    async with collecting(radio(link), host, {STRAP: 0}) as collector:
        await flow(collector)
        host.tell(False)
        link.adapter.hang()
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="lost") >= 1, within_s=2
        )
        # The kernel drops what a dead bluetoothd held.
        await one.drop()
        link.adapter.recover()
        host.tell(True)
        took_s = await flow(collector)

    assert took_s < 8


async def test_failures_climb_the_ladder(link: AirLink) -> None:
    """A radio that says no is switched off and on, then its daemon is restarted."""
    await link.add(strap(period_s=PERIOD_S))
    link.adapter.error = "org.bluez.Error.InProgress"
    host = ToldHost()

    async with collecting(radio(link), host, {STRAP: 0}) as collector:
        await collector.until(lambda: host.done["restart"] >= 1)
        link.adapter.recover()
        await flow(collector)

    assert host.done["power_cycle"] >= 1


async def test_the_adapter_is_left_alone_while_others_deliver(link: AirLink) -> None:
    """A sensor that cannot be held does not cost the others their links."""
    await link.add(strap(period_s=PERIOD_S))
    lost = await link.add(meter_with(100, "drop@1-"))
    host = ToldHost()

    async with collecting(radio(link), host, {STRAP: 0, METER: 0}) as collector:
        await collector.until(lambda: lost.books.drops >= 5, within_s=20)

    assert host.done["power_cycle"] == 0
    assert collector.value("sensor_connections_total") > 5


async def test_a_sensor_that_wants_a_bond_is_counted(link: AirLink) -> None:
    """What only a bonded gateway may read is not read; once there is a bond, it is."""
    meter = await link.add(meter_with(3, security=Security(passkey=123456)))
    link.adapter.passkey = 111111

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.during(1.0)
        assert not collector.taken_of_records()
        link.adapter.passkey = 123456
        await collector.until(lambda: len(collector.taken_of_records()) >= 3, within_s=20)

    assert meter.books.connections >= 1


async def test_listening_to_nothing_is_silent_at_once(link: AirLink) -> None:
    """When `listen` returns, the link is down, and what it sent before is all there is."""
    one = await link.add(strap(period_s=PERIOD_S))

    async with collecting(radio(link), ToldHost(), {STRAP: 0}) as collector:
        await flow(collector)
        began = time.monotonic()
        await collector.sensors.listen({})
        took_s = time.monotonic() - began
        while await collector.sensors.take(within_s=0):
            pass
        assert not await collector.sensors.take(within_s=0.2)

    assert took_s < 2.0
    assert not one.links

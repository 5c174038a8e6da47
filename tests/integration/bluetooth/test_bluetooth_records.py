"""
The radio with virtual sensors that store records: meters and CGM sensors, with and
without faults.
"""

import asyncio
import time

import msgspec
import pytest

from edge_agent.bluetooth.models import DEVICE_INFORMATION, MODEL_NUMBER
from edge_agent.bluetooth.records import record_assembler
from edge_agent.bluetooth.session import SessionTiming
from edge_agent.gatt.cgm import Annunciation
from edge_agent.gatt.quirks import Quirks
from simulators.sensor.device.attributes import Characteristic, Service
from simulators.sensor.kinds.cgm import MEASUREMENT, CgmSensor
from simulators.sensor.signals import WARMING_UP, Reading, Strip
from tests.bluetooth.air import CGM, METER, fetches, fill, meter_with, places, radio, sensor_with
from tests.fakes.bluetooth import QUICK, ToldHost, collecting
from tests.fixtures.link import AirLink
from tests.support.readings import value_of
from wire.quantities import Code
from wire.refusals import Refusal


async def test_all_records_of_a_meter_come_in_order(link: AirLink) -> None:
    """All records of a meter come in order, each judged with its context."""
    await link.add(meter_with(100))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    taken = collector.of(Code.GLUCOSE_CAPILLARY)
    assert places(taken) == [(0, n) for n in range(1, 101)]
    assert [value_of(m) for m in taken] == [pytest.approx(5.0 + n / 100) for n in range(100)]
    assert all(m.fault is None for m in taken)


@pytest.mark.parametrize("place_", [1, 2, 3, 40, 133, 134])
async def test_a_drop_at_any_value_loses_and_doubles_nothing(link: AirLink, place_: int) -> None:
    """After a drop the remaining records are fetched from the last durable one on."""
    await link.add(meter_with(100, f"drop@{place_ + 2}"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 101)]


async def test_nothing_durable_is_fetched_twice(link: AirLink) -> None:
    """A second fetch requests only the records since the last durable one."""
    meter = await link.add(meter_with(3))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 2)
        meter.measure(Strip(9.0))
        await collector.until(lambda: len(collector.taken_of_records()) >= 4)
        await collector.until(lambda: fetches(collector) >= 4)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 5)]
    assert not any(request[:1] == b"\x02" for request in meter.access.requests)


async def test_what_is_not_durable_is_fetched_again(link: AirLink) -> None:
    """Records that were taken but are not durable are fetched again."""
    await link.add(meter_with(4))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        collector.keeps = False
        await collector.until(lambda: fetches(collector) >= 2)
        await collector.during(0.05)

    assert places(collector.taken_of_records())[:8] == [(0, n) for n in (1, 2, 3, 4)] * 2


@pytest.mark.parametrize("grown", [1, 4, 5, 9])
async def test_a_meter_that_was_reset_is_noticed(link: AirLink, grown: int) -> None:
    """After a reset of the meter, records with known sequences are recognised as new."""
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


@pytest.mark.parametrize(
    ("fault", "connections"),
    [("busy@1", 1), ("server-busy@1-2", 1), ("unanswered@3", 2), ("uncompleted@3", 2)],
)
async def test_a_meter_in_a_bad_mood_is_asked_again(
    link: AirLink, fault: str, connections: int
) -> None:
    """
    A busy meter is asked again at once; one that is silent or stops in the middle, over a new
    connection.
    """
    await link.add(meter_with(10, fault))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert sorted(set(places(collector.taken_of_records()))) == [(0, n) for n in range(1, 11)]
    assert collector.value("sensor_connections_total") == connections


@pytest.mark.slow
async def test_an_endless_report_is_ended(link: AirLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A meter that repeats its report for ever is disconnected, and its records are handed
    over once.
    """
    monkeypatch.setattr(record_assembler, "MAX_REPEATED", 500)
    meter = await link.add(meter_with(3, "endless@3"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="endless") >= 1, within_s=60
        )
        assert meter.access.requests[-1][:1] == b"\x03"
        meter.faults.clear()
        await collector.until(lambda: fetches(collector) >= 1)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 4)]


async def test_what_is_no_glucose_moves_the_cursor_all_the_same(link: AirLink) -> None:
    """A ketone record is refused by its name, and the cursor moves past it."""
    meter = await link.add(meter_with(0, "ketone@2"))
    for _ in range(3):
        meter.measure(Strip(6.0))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 3)

    taken = collector.taken_of_records()
    assert [m.fault for m in taken] == [None, Refusal.KETONE, None]


async def test_a_malformed_record_is_counted_and_skipped(link: AirLink) -> None:
    """
    A record that does not decode is requested again and then refused; its neighbours are
    taken.
    """
    await link.add(meter_with(4, "malformed@6", "malformed@12"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert collector.refused[Refusal.MALFORMED] == 2
    assert places(collector.taken_of_records()) == [(0, 1), (0, 2), (0, 4)]
    assert collector.value("short_reports_total") == 2


@pytest.mark.parametrize("place_", [3, 5, 7])
async def test_what_came_broken_once_is_asked_for_again(link: AirLink, place_: int) -> None:
    """A record that came malformed once is noticed by the count, and comes in its order."""
    await link.add(meter_with(4, f"malformed@{place_}"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 5)]
    assert collector.value("short_reports_total") == 1


async def test_a_meter_that_does_not_count_is_believed(link: AirLink) -> None:
    """If a meter does not count its records, its report is taken as complete."""
    meter = meter_with(10, "unanswered@2")
    await link.add(meter)

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, n) for n in range(1, 11)]


async def test_a_session_is_caught_up_and_followed(link: AirLink) -> None:
    """The stored records of a CGM sensor come first, then the live ones, in one order."""
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


async def test_a_minute_that_came_broken_once_is_asked_for_again(link: AirLink) -> None:
    """A stored minute that came malformed once is fetched before later minutes are handed over."""
    await link.add(sensor_with(20, "wrong-crc@7"))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, 5 * n) for n in range(20)]


async def test_a_minute_told_before_we_ask_does_not_hide_those_before_it(link: AirLink) -> None:
    """A minute that is sent before the request does not hide the stored minutes before it."""
    sensor = await link.add(sensor_with(5))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        async with asyncio.timeout(10):
            while not any(link_.subscribed(MEASUREMENT) for link_ in sensor.links):  # noqa: ASYNC110 - its state
                await asyncio.sleep(0)
        await sensor.tell_all(sensor.measure(Reading(7.0), minute=100))
        assert sensor.access.requests == []
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, n) for n in (0, 5, 10, 15, 20, 100)]


async def test_a_new_session_is_a_new_generation(link: AirLink) -> None:
    """A session whose minutes start again is a new generation."""
    sensor = await link.add(sensor_with(20))
    patience = msgspec.structs.replace(QUICK, timing=SessionTiming())

    async with collecting(radio(link), ToldHost(), {CGM: 0}, patience=patience) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 20)
        sensor.memory.clear()
        sensor.session.begin(ago_s=600.0)
        await sensor.tell_all(sensor.measure(Reading(5.5), minute=10))
        await collector.until(lambda: len(collector.taken_of_records()) >= 21)

    assert places(collector.taken_of_records())[20:] == [(1, 10)]
    assert collector.value("sensor_resets_total") == 1


async def test_a_model_may_write_its_octets_in_another_order(link: AirLink) -> None:
    """The operator's quirks of a model are applied to every sensor of that model."""
    sensor = CgmSensor(CGM, time.time, quirks=Quirks(e2e_crc=True, warning_first=True))
    model = Characteristic(number=MODEL_NUMBER, read=lambda: b"CGM-1\0")
    usual = sensor.services()
    sensor.services = lambda: [*usual, Service(DEVICE_INFORMATION, (model,))]  # type: ignore[method-assign]
    sensor.session.begin(ago_s=3600.0)
    sensor.measure(Reading(2.2, Annunciation.RESULT_TOO_LOW), minute=5)
    sensor.measure(Reading(5.0, Annunciation.SENSOR_MALFUNCTION), minute=10)
    await link.add(sensor)

    models = {"CGM-1": Quirks(warning_first=True)}
    async with collecting(radio(link), ToldHost(), {CGM: 0}, models=models) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 2)

    faults = [m.fault for m in collector.taken_of_records()]
    assert faults == [Refusal.SATURATED, Refusal.SENSOR_FAULT]


async def test_a_warm_up_is_refused_and_a_wrong_check_too(link: AirLink) -> None:
    """Neither a value from the warm-up nor one with a wrong checksum becomes a reading."""
    sensor = await link.add(sensor_with(3, "wrong-crc@2", "wrong-crc@6"))
    sensor.measure(WARMING_UP, minute=15)

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)

    assert [m.fault for m in collector.taken_of_records()] == [None, None, Refusal.WARM_UP]
    assert collector.value(
        "decode_errors_total", characteristic="cgm_measurement", reason="bad_crc"
    )

"""A long session of a CGM sensor, fetched in windows."""

import asyncio
from collections.abc import Callable

import pytest

from edge_agent.bluetooth.records import cgm
from edge_agent.bluetooth.records.record_access import EVERYTHING
from edge_agent.gatt import racp
from edge_agent.gatt.racp import Operator, RacpOpCode, RacpResponseCode, Request
from simulators.sensor.device.memory import StoredRecord
from simulators.sensor.kinds.cgm import CgmSensor
from simulators.sensor.signals import Reading
from tests.bluetooth.air import CGM, fetches, places, radio, sensor_with
from tests.fakes.bluetooth import Collector, ToldHost, collecting
from tests.fixtures.link import AirLink

RECORDS = 96
"""One record for each five minutes of eight hours."""
MINUTES = [(0, 5 * n) for n in range(RECORDS)]
WINDOW_MIN = 60
EACH = WINDOW_MIN // 5


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use short windows, so that eight hours need several."""
    monkeypatch.setattr(cgm, "WINDOW_MIN", WINDOW_MIN)


def requests_of(sensor: CgmSensor, op_code: RacpOpCode) -> list[Request]:
    """Return the requests that *sensor* got."""
    asked = map(racp.decode_request, sensor.access.requests)
    return [request for request in asked if request.op_code is op_code]


async def assert_caught_up(collector: Collector) -> None:
    """Check that all minutes come, each once and in order."""
    await collector.until(lambda: fetches(collector) >= 1, within_s=30)
    await collector.during(0.05)
    assert places(collector.taken_of_records()) == MINUTES


@pytest.mark.parametrize("place", [1, EACH, EACH + 1, 50, RECORDS])
async def test_after_a_break_it_goes_on_from_the_last_window(link: AirLink, place: int) -> None:
    """After a break at most one window is sent again, because earlier windows are durable."""
    sensor = await link.add(sensor_with(RECORDS, f"drop@{place}"))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await assert_caught_up(collector)

    assert sensor.books.connections == 2
    assert sensor.books.values <= RECORDS + EACH
    assert collector.value("short_reports_total") == 0


async def test_a_minute_that_is_told_amid_a_window_hides_none_of_the_next(link: AirLink) -> None:
    """
    A minute that is sent in the middle of a window is dropped, and fetched later from
    the memory.
    """
    sensor = await link.add(sensor_with(RECORDS - 1))
    sensor.access.gap_s = 0.01

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: sensor.books.values > EACH + 2)
        await sensor.tell_all(sensor.measure(Reading(7.0), minute=5 * (RECORDS - 1)))
        assert len(requests_of(sensor, RacpOpCode.REPORT)) == 2
        await assert_caught_up(collector)

    assert collector.value("dropped_notifications_total", reason="unasked") == 1


Answer = list[StoredRecord] | RacpResponseCode
Select = Callable[[Request], Answer]


def knows_no_range(usual: Select, request: Request) -> Answer:
    """Answer as a sensor that does not support ranges."""
    is_range = request.operator is Operator.RANGE
    return RacpResponseCode.OPERATOR_NOT_SUPPORTED if is_range else usual(request)


def has_nothing_in_a_range(usual: Select, request: Request) -> Answer:
    """Answer as a sensor that finds no record in any range."""
    return [] if request.operator is Operator.RANGE else usual(request)


def leaves_out_the_first(usual: Select, request: Request) -> Answer:
    """Answer as a sensor that excludes the first minute of a range."""
    found = usual(request)
    if request.operator is not Operator.RANGE or isinstance(found, RacpResponseCode):
        return found
    return found[1:]


def counts_all(usual: Select, request: Request) -> Answer:
    """Return the same count for every request, and no record in a range."""
    is_count = request.op_code is RacpOpCode.COUNT
    return usual(EVERYTHING) if is_count else has_nothing_in_a_range(usual, request)


def cannot_count(usual: Select, request: Request) -> Answer:
    """Refuse to count, and return no record in a range."""
    if request.op_code is RacpOpCode.COUNT:
        return RacpResponseCode.OP_CODE_NOT_SUPPORTED
    return has_nothing_in_a_range(usual, request)


@pytest.mark.parametrize(
    "answers",
    [
        knows_no_range,
        has_nothing_in_a_range,
        leaves_out_the_first,
        counts_all,
        cannot_count,
    ],
)
async def test_a_sensor_that_answers_wrongly_for_a_range_is_asked_for_all(
    link: AirLink, answers: Callable[[Select, Request], Answer]
) -> None:
    """If a sensor supports ranges wrongly or not at all, all its records are requested at once."""
    sensor = sensor_with(RECORDS)
    usual = sensor.memory.select
    sensor.memory.select = lambda request: answers(usual, request)  # type: ignore[method-assign]
    await link.add(sensor)

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await assert_caught_up(collector)

    assert EVERYTHING in requests_of(sensor, RacpOpCode.REPORT)
    assert sensor.books.connections == 1


async def test_what_is_told_while_there_is_no_room_is_not_lost(link: AirLink) -> None:
    """
    Minutes that come while earlier ones wait for room in the inbox are handed over after
    them.
    """
    sensor = await link.add(sensor_with(RECORDS - 1))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        inbox = collector.sensors._inbox
        inbox._max_waiting = RECORDS - 2
        async with asyncio.timeout(30):
            while inbox._has_room.is_set():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await sensor.tell_all(sensor.measure(Reading(7.0), minute=5 * (RECORDS - 1)))
        await asyncio.sleep(0.1)
        await assert_caught_up(collector)


async def test_the_last_minute_of_all_is_not_asked_beyond(link: AirLink) -> None:
    """A session at its last possible minute is recognised again after a break."""
    last_min = (1 << 16) - 1
    sensor = sensor_with(0)
    sensor.session.begin(ago_s=60 * last_min)
    sensor.measure(Reading(6.0), minute=last_min)
    await link.add(sensor)

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: fetches(collector) == 1)
        assert places(collector.taken_of_records()) == [(0, last_min)]
        (cursor,) = (taken.record for taken in collector.taken_of_records())
    assert cursor is not None
    async with collecting(radio(link), ToldHost(), {CGM: cursor}) as collector:
        await collector.until(lambda: fetches(collector) == 1)
        assert collector.taken_of_records() == []


async def test_hours_without_a_record_are_passed_over(link: AirLink) -> None:
    """After hours without a record the remaining minutes are requested at once."""
    sensor = sensor_with(0)
    for minute in (0, 5, 470, 475):
        sensor.measure(Reading(6.0), minute=minute)
    await link.add(sensor)

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        await collector.during(0.05)

    assert places(collector.taken_of_records()) == [(0, 0), (0, 5), (0, 470), (0, 475)]
    assert len(requests_of(sensor, RacpOpCode.REPORT)) == 2

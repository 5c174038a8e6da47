"""A virtual glucose meter over the air."""

import asyncio

import pytest
from bleak.exc import BleakGATTProtocolError

from edge_agent.gatt import date_time, glucose, glucose_context, racp
from edge_agent.gatt.glucose_context import Meal
from edge_agent.gatt.racp import (
    Count,
    Operator,
    RacpOpCode,
    RacpResponse,
    RacpResponseCode,
    Request,
)
from edge_agent.gatt.registry import uuid_of
from simulators.sensor.device.clock import RESET_TO, to_date_time
from simulators.sensor.kinds.glucose_meter import MEASUREMENT
from simulators.sensor.signals import Strip
from tests.bluetooth.central import RecordReader, connected
from tests.bluetooth.meters import ADDRESS, ALL, DONE, meter_with
from tests.fixtures.link import AirLink


def sequences(values: list[bytes]) -> list[int]:
    """Return the sequence of each record."""
    return [glucose.decode(value).sequence for value in values]


async def test_all_records_come_with_their_contexts(link: AirLink) -> None:
    """A report of all records sends each of them once, in order, before its success response."""
    meter = await link.add(meter_with(100))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        count = await reader.ask(Request(RacpOpCode.COUNT, Operator.ALL))
        done = await reader.ask(ALL)

    assert count == Count(RacpOpCode.COUNT_RESPONSE, 100)
    assert done == DONE
    assert sequences(reader.records.values) == list(range(1, 101))
    contexts = [glucose_context.decode(value) for value in reader.contexts.values]
    assert [context.sequence for context in contexts] == list(range(1, 101, 3))
    assert {context.meal for context in contexts} == {Meal.FASTING}
    assert meter.books.notifications == 134


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(RacpOpCode.REPORT, Operator.FROM, (8,)), [8, 9, 10]),
        (Request(RacpOpCode.REPORT, Operator.UP_TO, (2,)), [1, 2]),
        (Request(RacpOpCode.REPORT, Operator.RANGE, (4, 5)), [4, 5]),
        (Request(RacpOpCode.REPORT, Operator.FIRST), [1]),
        (Request(RacpOpCode.REPORT, Operator.LAST), [10]),
    ],
)
async def test_a_report_is_of_what_was_asked(
    link: AirLink, request_: Request, expected: list[int]
) -> None:
    """The operator and its bounds select the records."""
    await link.add(meter_with(10))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        assert await reader.ask(request_) == DONE

    assert sequences(reader.records.values) == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param("09 01", RacpResponseCode.OP_CODE_NOT_SUPPORTED, id="reserved op code"),
        pytest.param("07 01", RacpResponseCode.OP_CODE_NOT_SUPPORTED, id="combined report"),
        pytest.param("01 00", RacpResponseCode.INVALID_OPERATOR, id="no operator"),
        pytest.param("01 07", RacpResponseCode.OPERATOR_NOT_SUPPORTED, id="reserved operator"),
        pytest.param("01 03 01 05", RacpResponseCode.INVALID_OPERAND, id="half a bound"),
        pytest.param(
            "01 04 01 05 00 04 00", RacpResponseCode.INVALID_OPERAND, id="range reversed"
        ),
        pytest.param(
            "01 03 07 05 00", RacpResponseCode.OPERAND_NOT_SUPPORTED, id="reserved filter"
        ),
        pytest.param("01 03 01 60 ea", RacpResponseCode.NO_RECORDS, id="nothing there"),
    ],
)
async def test_a_request_that_cannot_be_met_is_answered(
    link: AirLink, value: str, code: RacpResponseCode
) -> None:
    """An invalid request is answered with the response code of the service for it."""
    await link.add(meter_with(3))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        answer = await reader.ask(bytes.fromhex(value))

    assert answer == RacpResponse(bytes.fromhex(value)[0], code)


async def test_a_count_of_nothing_is_a_count(link: AirLink) -> None:
    """The count of no records is 0, and not the response "no records found"."""
    await link.add(meter_with(0))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        answer = await reader.ask(Request(RacpOpCode.COUNT, Operator.ALL))

    assert answer == Count(RacpOpCode.COUNT_RESPONSE, 0)


async def test_a_request_without_subscription_is_refused(link: AirLink) -> None:
    """A request without a subscription is refused with an ATT error."""
    await link.add(meter_with(3))

    async with connected(link, ADDRESS) as client:
        with pytest.raises(BleakGATTProtocolError) as raised:
            await RecordReader(client, told_by=MEASUREMENT).write(racp.encode_request(ALL))

    assert raised.value.code == 0xFD


async def test_a_second_request_is_refused_and_the_first_aborted(link: AirLink) -> None:
    """
    Only one procedure runs at a time: a second request gets the error 0xFE, and an abort ends the
    first.
    """
    meter = await link.add(meter_with(100))
    meter.access.gap_s = 0.01

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        await reader.write(racp.encode_request(ALL))
        await reader.records.wait_for(3)
        with pytest.raises(BleakGATTProtocolError) as raised:
            await reader.write(racp.encode_request(ALL))
        aborted = await reader.ask(Request(RacpOpCode.ABORT))

    assert raised.value.code == 0xFE
    assert aborted == RacpResponse(RacpOpCode.ABORT, RacpResponseCode.SUCCESS)
    assert len(reader.records.values) < 100


@pytest.mark.parametrize("place", [1, 2, 40, 134])
async def test_after_a_drop_at_any_value_the_rest_can_be_fetched(
    link: AirLink, place: int
) -> None:
    """Values before a drop arrive, and the next connection fetches the missing records."""
    meter = await link.add(meter_with(100, f"drop@{place}"))
    dropped = asyncio.Event()

    async with connected(link, ADDRESS, lambda _: dropped.set()) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        await reader.write(racp.encode_request(ALL))
        await dropped.wait()
    first = reader.records.values
    last = sequences(first)[-1] if first else 0
    async with connected(link, ADDRESS) as client:
        again = await RecordReader(client, told_by=MEASUREMENT).open()
        answer = await again.ask(racp.report_from(last + 1))

    # Value 134 is the context of record 100, the last one: afterwards no record is missing.
    assert answer == (
        DONE if last < 100 else RacpResponse(RacpOpCode.REPORT, RacpResponseCode.NO_RECORDS)
    )
    assert sequences(first + again.records.values) == list(range(1, 101))
    assert meter.books.drops == 1


async def test_server_busy_is_answered_once(link: AirLink) -> None:
    """A busy meter answers so, and answers normally when it is asked again."""
    await link.add(meter_with(2, "server-busy@1"))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        answers = [await reader.ask(ALL), await reader.ask(ALL)]

    assert answers == [RacpResponse(RacpOpCode.REPORT, RacpResponseCode.BUSY), DONE]


async def test_busy_is_an_error_of_att(link: AirLink) -> None:
    """A busy meter may also refuse the write itself."""
    await link.add(meter_with(2, "busy@1"))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        with pytest.raises(BleakGATTProtocolError) as raised:
            await reader.ask(ALL)
        answer = await reader.ask(ALL)

    assert raised.value.code == 0xFE
    assert answer == DONE


async def test_an_unanswered_request_blocks_until_it_is_aborted(link: AirLink) -> None:
    """A request may be accepted and never answered; after an abort the meter answers again."""
    await link.add(meter_with(2, "unanswered@1"))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        await reader.write(racp.encode_request(ALL))
        with pytest.raises(BleakGATTProtocolError):
            await reader.write(racp.encode_request(ALL))
        await reader.ask(Request(RacpOpCode.ABORT))
        answer = await reader.ask(ALL)

    assert answer == DONE


async def test_a_report_may_end_in_its_middle(link: AirLink) -> None:
    """A report may end after half of the records with the response "procedure not completed"."""
    await link.add(meter_with(10, "uncompleted@1"))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        answer = await reader.ask(ALL)

    assert answer == RacpResponse(RacpOpCode.REPORT, RacpResponseCode.NOT_COMPLETED)
    assert sequences(reader.records.values) == [1, 2, 3, 4, 5]


async def test_an_endless_report_ends_with_an_abort(link: AirLink) -> None:
    """A hostile meter repeats its records without end, until an abort."""
    await link.add(meter_with(3, "endless"))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        await reader.write(racp.encode_request(ALL))
        await reader.records.wait_for(50)
        answer = await reader.ask(Request(RacpOpCode.ABORT))
        sent = len(reader.records.values)
        await reader.ask(Request(RacpOpCode.COUNT, Operator.ALL))

    assert answer == RacpResponse(RacpOpCode.ABORT, RacpResponseCode.SUCCESS)
    assert sequences(reader.records.values[:6]) == [1, 2, 3, 1, 2, 3]
    assert len(reader.records.values) == sent


async def test_a_report_ends_with_its_link(link: AirLink) -> None:
    """A report ends when the link of its requester ends."""
    meter = await link.add(meter_with(3, "endless"))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        await reader.write(racp.encode_request(ALL))
        await reader.records.wait_for(50)
    async with connected(link, ADDRESS) as client:
        sent = meter.books.values
        await client.read_gatt_char(uuid_of(0x2A51))

    assert meter.books.values == sent


async def test_a_ketone_is_marked_by_its_context(link: AirLink) -> None:
    """A ketone record looks like glucose; only its context distinguishes it."""
    meter = await link.add(meter_with(0, "ketone@2"))
    for _ in range(2):
        meter.measure(Strip(6.0))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        await reader.ask(ALL)

    assert [glucose.decode(v).context_follows for v in reader.records.values] == [False, True]
    assert glucose_context.decode(reader.contexts.values[0]).is_ketone


async def test_a_reset_starts_clock_and_count_anew(link: AirLink) -> None:
    """After a reset the sequence is 1 again, and the clock is years behind."""
    meter = await link.add(meter_with(5, "clock-reset@6"))
    meter.measure(Strip(7.0))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        await reader.ask(ALL)

    [record] = [glucose.decode(value) for value in reader.records.values]
    assert record.sequence == 1
    assert record.base_time.as_datetime() == RESET_TO


async def test_the_clock_is_read_and_set(link: AirLink) -> None:
    """The clock shows the time that a collector has written; the base time is unchanged."""
    meter = await link.add(meter_with(0))
    base = meter.clock.base()
    wanted = to_date_time(RESET_TO)

    async with connected(link, ADDRESS) as client:
        number = uuid_of(0x2A2B)
        before = date_time.decode_current_time(await client.read_gatt_char(number))
        changed = date_time.CurrentTime(wanted, 0, 0, 1)
        await client.write_gatt_char(number, date_time.encode_current_time(changed), response=True)
        after = date_time.decode_current_time(await client.read_gatt_char(number))
        for no_time in (b"\x00" * 10, b"\x00" * 9):
            with pytest.raises(BleakGATTProtocolError) as raised:
                await client.write_gatt_char(number, no_time, response=True)
            assert raised.value.code == 0x80

    assert before.date_time == to_date_time(base)
    assert after.date_time == wanted
    assert abs((meter.clock.base() - base).total_seconds()) <= 30
    assert meter.clock.times_set == 1

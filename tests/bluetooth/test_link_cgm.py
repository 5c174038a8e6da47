"""A virtual CGM sensor over the air."""

import datetime

import pytest
from bleak.exc import BleakGATTProtocolError

from edge_agent.gatt import cgm, cgm_control, cgm_session
from edge_agent.gatt.cgm import CgmRecord
from edge_agent.gatt.cgm_control import Command, Interval
from edge_agent.gatt.cgm_session import SessionStart
from edge_agent.gatt.date_time import Zone
from edge_agent.gatt.errors import BadCrc, Truncated
from edge_agent.gatt.quirks import CrcKind, Quirks
from edge_agent.gatt.racp import Operator, RacpOpCode, RacpResponse, RacpResponseCode, Request
from edge_agent.gatt.registry import uuid_of
from simulators.sensor.device.clock import to_date_time
from simulators.sensor.device.faults import Faults
from simulators.sensor.kinds.cgm import MEASUREMENT, WITH_CRC, CgmSensor
from simulators.sensor.kinds.cgm_session import CONTROL_POINT
from simulators.sensor.signals import WARMING_UP, Reading
from tests.bluetooth.central import RecordReader, collect, connected
from tests.bluetooth.meters import DONE
from tests.fixtures.link import AirLink

ADDRESS = "C0:FF:EE:00:00:03"
HOURS_8_S = 8 * 3600


class Hour:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


def sensor_with(count: int, *faults: str, quirks: Quirks = WITH_CRC) -> CgmSensor:
    """Return a sensor in the eighth hour of its session, with a record for every five minutes."""
    sensor = CgmSensor(ADDRESS, Hour(), faults=Faults(*faults), quirks=quirks)
    sensor.session.begin(ago_s=HOURS_8_S)
    for n in range(count):
        sensor.measure(Reading(6.0 + n / 10), minute=5 * n)
    return sensor


def records_of(values: list[bytes], quirks: Quirks = WITH_CRC) -> list[CgmRecord]:
    """Return the records in *values*."""
    return [record for value in values for record in cgm.decode(value, quirks).records]


async def test_what_is_measured_is_told_at_once(link: AirLink) -> None:
    """
    A new record is sent to subscribers at once, with its minute of the session and a
    checksum.
    """
    sensor = await link.add(sensor_with(0))

    async with connected(link, ADDRESS) as client:
        told = await collect(client, MEASUREMENT)
        for n in range(5):
            await sensor.tell_all(sensor.measure(Reading(6.0 + n)))
        values = await told.wait_for(5)

    records = records_of(values)
    assert [record.concentration_mg_dl for record in records] == [108, 126, 144, 162, 180]
    assert {record.time_offset_min for record in records} == {480}


@pytest.mark.parametrize(
    "quirks",
    [
        pytest.param(WITH_CRC, id="as specified"),
        pytest.param(Quirks(e2e_crc=False), id="no check"),
        pytest.param(Quirks(e2e_crc=True, crc=CrcKind.CCITT_FALSE), id="another check"),
        pytest.param(Quirks(e2e_crc=True, warning_first=True), id="octets reversed"),
    ],
)
async def test_a_gap_is_filled_from_memory(link: AirLink, quirks: Quirks) -> None:
    """A sensor reports the records since a minute of the session, whatever its quirks."""
    await link.add(sensor_with(100, quirks=quirks))

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        answer = await reader.ask(Request(RacpOpCode.REPORT, Operator.FROM, (250,)))

    assert answer == DONE
    minutes = [r.time_offset_min for r in records_of(reader.records.values, quirks)]
    assert minutes == list(range(250, 500, 5))


async def test_records_cannot_be_asked_for_by_the_time_of_day(link: AirLink) -> None:
    """A sensor without a clock does not support requests by the time of day."""
    await link.add(sensor_with(1))
    when = to_date_time(datetime.datetime(2026, 1, 1))  # noqa: DTZ001

    async with connected(link, ADDRESS) as client:
        reader = await RecordReader(client, told_by=MEASUREMENT).open()
        answer = await reader.ask(Request(RacpOpCode.REPORT, Operator.FROM, (when,)))

    assert answer == RacpResponse(RacpOpCode.REPORT, RacpResponseCode.OPERAND_NOT_SUPPORTED)


async def test_the_start_of_the_session_is_what_a_collector_makes_it(link: AirLink) -> None:
    """
    The session start is unknown until a collector writes the present time; then it is in
    the past.
    """
    await link.add(sensor_with(0))
    now = datetime.datetime(2026, 11, 21, 18, 30)  # noqa: DTZ001
    written = SessionStart(to_date_time(now), Zone(4, 0))

    async with connected(link, ADDRESS) as client:
        number = uuid_of(0x2AAA)
        before = cgm_session.decode_start(await client.read_gatt_char(number), WITH_CRC)
        unknown = cgm_session.encode_start(before, WITH_CRC)
        with pytest.raises(BleakGATTProtocolError) as raised:
            await client.write_gatt_char(number, unknown, response=True)
        value = cgm_session.encode_start(written, WITH_CRC)
        await client.write_gatt_char(number, value, response=True)
        after = cgm_session.decode_start(await client.read_gatt_char(number), WITH_CRC)
        status = cgm_session.decode_status(await client.read_gatt_char(uuid_of(0x2AA9)), WITH_CRC)

    assert before.date_time.as_datetime() is None
    assert raised.value.code == 0xFF
    assert after.date_time.as_datetime() == now - datetime.timedelta(hours=8)
    assert after.zone == Zone(4, 0)
    assert status.time_offset_min == 480


@pytest.mark.parametrize(
    ("change", "code"), [(b"\x00\x00", 0x81), (b"", 0x80)], ids=["wrong check", "no check"]
)
async def test_a_write_without_its_check_is_refused(
    link: AirLink, change: bytes, code: int
) -> None:
    """A sensor with checksums refuses a write that does not end in the right one."""
    await link.add(sensor_with(0))
    value = cgm_control.encode(Command(cgm_control.CgmOpCode.GET_INTERVAL)) + change

    async with connected(link, ADDRESS) as client:
        with pytest.raises(BleakGATTProtocolError) as raised:
            await client.write_gatt_char(uuid_of(CONTROL_POINT), value, response=True)

    assert raised.value.code == code


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (
            Command(cgm_control.CgmOpCode.GET_INTERVAL),
            Interval(cgm_control.CgmOpCode.INTERVAL, 5),
        ),
        (
            Interval(cgm_control.CgmOpCode.SET_INTERVAL, 1),
            cgm_control.CgmResponse(cgm_control.CgmOpCode.SET_INTERVAL, 1),
        ),
        (
            Command(cgm_control.CgmOpCode.START_SESSION),
            cgm_control.CgmResponse(cgm_control.CgmOpCode.START_SESSION, 4),
        ),
        (
            Command(cgm_control.CgmOpCode.GET_HYPO),
            cgm_control.AlertLevel(cgm_control.CgmOpCode.HYPO, 0),
        ),
        (
            cgm_control.CalibrationRequest(1),
            cgm_control.CgmResponse(cgm_control.CgmOpCode.GET_CALIBRATION, 5),
        ),
    ],
)
async def test_the_control_point_answers(
    link: AirLink, asked: cgm_control.Operation, answer: cgm_control.Operation
) -> None:
    """Each operation of the control point is answered by an indication with a checksum."""
    await link.add(sensor_with(0))

    async with connected(link, ADDRESS) as client:
        answers = await collect(client, CONTROL_POINT)
        value = cgm_control.encode(asked, WITH_CRC)
        await client.write_gatt_char(uuid_of(CONTROL_POINT), value, response=True)
        [got] = await answers.wait_for(1)

    assert cgm_control.decode(got, WITH_CRC) == answer


async def test_another_session_counts_from_zero(link: AirLink) -> None:
    """
    A session that was stopped and started again has no record and no start, and is at
    minute 0.
    """
    sensor = await link.add(sensor_with(5))

    async with connected(link, ADDRESS) as client:
        answers = await collect(client, CONTROL_POINT)
        for count, op_code in enumerate(
            (cgm_control.CgmOpCode.STOP_SESSION, cgm_control.CgmOpCode.START_SESSION), start=1
        ):
            value = cgm_control.encode(Command(op_code), WITH_CRC)
            await client.write_gatt_char(uuid_of(CONTROL_POINT), value, response=True)
            await answers.wait_for(count)

    assert len(sensor.memory) == 0
    assert sensor.session.minute() == 0


async def test_warm_up_is_no_glucose(link: AirLink) -> None:
    """During warm-up the sensor sends 0 and reports no quality."""
    sensor = await link.add(sensor_with(0, "warm-up@2"))

    async with connected(link, ADDRESS) as client:
        told = await collect(client, MEASUREMENT)
        for _ in range(2):
            await sensor.tell_all(sensor.measure(Reading(6.0)))
        records = records_of(await told.wait_for(2))

    assert [record.concentration_mg_dl for record in records] == [108, 0]
    assert WARMING_UP.mmol_per_l == 0


async def test_a_wrong_check_is_seen(link: AirLink) -> None:
    """The fault `wrong-crc` changes the checksum and nothing else."""
    sensor = await link.add(sensor_with(0, "wrong-crc@2", "malformed@3"))

    async with connected(link, ADDRESS) as client:
        told = await collect(client, MEASUREMENT)
        for _ in range(3):
            await sensor.tell_all(sensor.measure(Reading(6.0)))
        right, wrong, short = await told.wait_for(3)

    assert right[:-1] == wrong[:-1]
    with pytest.raises(BadCrc):
        cgm.decode(wrong, WITH_CRC)
    with pytest.raises(Truncated):
        cgm.decode(short, WITH_CRC)


async def test_a_session_that_is_reset_forgets_its_records(link: AirLink) -> None:
    """A clock reset starts the session again, and its minute shows that."""
    sensor = await link.add(sensor_with(10, "clock-reset@11"))
    record = sensor.measure(Reading(6.0))

    assert record.key == 0
    assert list(sensor.memory) == [record]

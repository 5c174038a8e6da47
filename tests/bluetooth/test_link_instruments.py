"""
The agent's radio with instruments for single measurements: cuffs, thermometers, scales,
oximeters.
"""

import datetime
import itertools
import time
from collections.abc import Callable

import pytest

from edge_agent.gatt import blood_pressure, pulse_oximeter, thermometer, weight
from edge_agent.gatt.blood_pressure import BloodPressureMeasurement
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber, decimal_of
from edge_agent.gatt.pulse_oximeter import ContinuousOximetry, Oximetry, SensorStatus, SpotCheck
from edge_agent.gatt.thermometer import TemperatureMeasurement
from edge_agent.gatt.weight import WeightMeasurement
from edge_agent.values.measurement import Measurement
from simulators.sensor.device.clock import SensorClock, to_date_time
from simulators.sensor.kinds.oximeter import PulseOximeter
from tests.bluetooth import instruments
from tests.bluetooth.air import OXIMETER, PERIOD_S, radio
from tests.bluetooth.instruments import Instrument
from tests.fakes.bluetooth import Collector, ToldHost, collecting
from tests.fixtures.link import AirLink
from tests.support.readings import value_of
from wire.quantities import Code
from wire.refusals import Refusal

Make = Callable[[SensorClock | None], Instrument]
PRESSURE = BloodPressureMeasurement(systolic=121, diastolic=79, mean=93, pulse_bpm=64)


def stamped(hour: int) -> DateTime:
    """Return a time of today, as a sensor that shows UTC sends it."""
    now = datetime.datetime.now(datetime.UTC)
    return to_date_time(now.replace(hour=hour, minute=0, second=0, tzinfo=None))


def health(collector: Collector) -> list[Measurement]:
    """Return the measurements of a person, without battery levels."""
    return [m for m in collector.taken if m.quantity != Code.BATTERY_LEVEL]


async def told(
    link: AirLink, sensor: Instrument, *values: bytes, count: int = 1
) -> tuple[list[Measurement], Collector]:
    """Return the first *count* measurements of *values*, and the collector that took them."""
    await link.add(sensor)
    async with collecting(radio(link), ToldHost(), {sensor.address: 0}) as collector:
        for value in values:
            telling = sensor.spawn(sensor.tell_all(value), "measurement")
            await collector.until(telling.done)
        await collector.until(lambda: len(health(collector)) >= count)
        await collector.during(0.1)
    return health(collector), collector


@pytest.mark.parametrize(
    ("make", "value", "expected"),
    [
        pytest.param(
            instruments.cuff,
            blood_pressure.encode(PRESSURE),
            {
                Code.BLOOD_PRESSURE_SYSTOLIC: 121.0,
                Code.BLOOD_PRESSURE_DIASTOLIC: 79.0,
                Code.BLOOD_PRESSURE_MEAN: 93.0,
                Code.PULSE_RATE: 64.0,
            },
            id="cuff-mmHg",
        ),
        pytest.param(
            instruments.cuff,
            blood_pressure.encode(
                BloodPressureMeasurement(
                    systolic=16,
                    diastolic=10,
                    mean=12,
                    unit=blood_pressure.BloodPressureUnit.KPA,
                )
            ),
            {
                Code.BLOOD_PRESSURE_SYSTOLIC: 120.0,
                Code.BLOOD_PRESSURE_DIASTOLIC: 75.0,
                Code.BLOOD_PRESSURE_MEAN: 90.0,
            },
            id="cuff-kPa",
        ),
        pytest.param(
            instruments.thermometer,
            thermometer.encode(TemperatureMeasurement(temperature=decimal_of(38.4), site=6)),
            {Code.BODY_TEMPERATURE: 38.4},
            id="thermometer-Cel",
        ),
        pytest.param(
            instruments.thermometer,
            thermometer.encode(
                TemperatureMeasurement(
                    temperature=decimal_of(101.3), unit=thermometer.TemperatureUnit.FAHRENHEIT
                )
            ),
            {Code.BODY_TEMPERATURE: 38.5},
            id="thermometer-degF",
        ),
        pytest.param(
            instruments.scale,
            weight.encode(WeightMeasurement(weight_steps=14_510, user=1)),
            {Code.BODY_WEIGHT: 72.55},
            id="scale-kg",
        ),
        pytest.param(
            instruments.scale,
            weight.encode(WeightMeasurement(weight_steps=16_000, unit=weight.WeightUnit.LB)),
            {Code.BODY_WEIGHT: 72.57},
            id="scale-lb",
        ),
    ],
)
async def test_what_an_instrument_shows_is_taken(
    link: AirLink, make: Make, value: bytes, expected: dict[Code, float]
) -> None:
    """
    Each quantity of an instrument comes once, in VitalVeil's unit, with the time of its
    arrival.
    """
    taken, _ = await told(link, make(None), value, count=len(expected))

    values = {m.quantity: value_of(m) for m in taken}
    assert values == {code: pytest.approx(value, abs=0.06) for code, value in expected.items()}
    assert len(taken) == len(expected)
    assert all(abs(m.at_ms / 1000 - time.time()) < 20 for m in taken)


@pytest.mark.parametrize("ahead_s", [-7200.0, 0.0, 86_400.0])
async def test_what_an_instrument_stamped_is_dated_by_our_clock(
    link: AirLink, ahead_s: float
) -> None:
    """A stored weighing keeps its age, however wrong the clock of the scale is."""
    clock = SensorClock(time.time, ahead_s=ahead_s)
    then = to_date_time(clock.shown() - datetime.timedelta(hours=5))
    value = weight.encode(WeightMeasurement(weight_steps=14_000, timestamp=then))

    (taken,), _ = await told(link, instruments.scale(clock), value)

    assert time.time() - taken.at_ms / 1000 == pytest.approx(5 * 3600, abs=20)


@pytest.mark.parametrize(
    ("make", "value", "fault"),
    [
        pytest.param(
            instruments.thermometer,
            thermometer.encode(TemperatureMeasurement(temperature=38, timestamp=stamped(6))),
            Refusal.UNDATED,
            id="by-a-clock-that-nobody-can-read",
        ),
        pytest.param(
            instruments.thermometer,
            thermometer.encode(TemperatureMeasurement(temperature=NotANumber.NAN)),
            Refusal.NO_VALUE,
            id="not-a-number",
        ),
        pytest.param(
            instruments.thermometer,
            thermometer.encode(TemperatureMeasurement(temperature=384)),
            Refusal.IMPLAUSIBLE,
            id="boiling",
        ),
        pytest.param(
            instruments.scale,
            weight.encode(WeightMeasurement(weight_steps=None)),
            Refusal.NO_VALUE,
            id="unsuccessful",
        ),
    ],
)
async def test_what_is_no_measurement_is_a_fault(
    link: AirLink, make: Make, value: bytes, fault: Refusal
) -> None:
    """
    A value that is no measurement is handed over as a fault with its reason, without a
    value.
    """
    (taken,), _ = await told(link, make(None), value)

    assert (value_of(taken), taken.fault) == (None, fault)


async def test_pressures_that_contradict_each_other_are_none(link: AirLink) -> None:
    """If the systolic pressure is below the diastolic one, all three pressures are refused."""
    crossed = BloodPressureMeasurement(systolic=70, diastolic=110, mean=90)

    taken, _ = await told(link, instruments.cuff(), blood_pressure.encode(crossed), count=3)

    assert [m.fault for m in taken] == [Refusal.IMPLAUSIBLE] * 3


@pytest.mark.parametrize(
    ("make", "good", "name"),
    [
        pytest.param(
            instruments.cuff,
            blood_pressure.encode(PRESSURE),
            "blood_pressure_measurement",
            id="cuff",
        ),
        pytest.param(
            instruments.thermometer,
            thermometer.encode(TemperatureMeasurement(temperature=37)),
            "temperature_measurement",
            id="thermometer",
        ),
        pytest.param(
            instruments.scale,
            weight.encode(WeightMeasurement(weight_steps=14_000)),
            "weight_measurement",
            id="scale",
        ),
    ],
)
async def test_what_is_cut_off_is_counted_and_the_next_is_good(
    link: AirLink, make: Make, good: bytes, name: str
) -> None:
    """
    A value without its last byte is refused, counted by characteristic and reason, and the next is
    taken.
    """
    taken, collector = await told(link, make(None), good[:-1], good)

    assert all(m.fault is None for m in taken)
    assert collector.refused == {Refusal.MALFORMED: 1}
    reason = {"characteristic": name, "reason": "truncated"}
    assert collector.value("decode_errors_total", **reason) == 1


async def test_an_instrument_waits_for_its_owner(link: AirLink) -> None:
    """A silent instrument keeps its link, and is heard when it is used."""
    sensor = await link.add(instruments.thermometer())

    async with collecting(radio(link), ToldHost(), {sensor.address: 0}) as collector:
        await collector.during(1.5)
        await sensor.tell_all(thermometer.encode(TemperatureMeasurement(temperature=37)))
        await collector.until(lambda: len(collector.of(Code.BODY_TEMPERATURE)) == 1)

    assert sensor.books.connections == 1


def oximetry(*statuses: int | None) -> PulseOximeter:
    """Return an oximeter with counting values, which cycles through *statuses*."""
    shown = (
        ContinuousOximetry(normal=Oximetry(90 + n % 10, 60 + n % 10), sensor_status=status)
        for n, status in enumerate(itertools.cycle(statuses))
    )
    return PulseOximeter(OXIMETER, shown, period_s=PERIOD_S)


async def test_an_oximeter_tells_two_quantities_at_a_time(link: AirLink) -> None:
    """Saturation and pulse come in pairs, in order, and none is lost."""
    sensor = await link.add(oximetry(None))

    async with collecting(radio(link), ToldHost(), {OXIMETER: 0}) as collector:
        await collector.until(lambda: len(collector.of(Code.PULSE_RATE)) >= 25)

    shown = [pulse_oximeter.decode_continuous(value).normal for value in sensor.sent]
    spo2 = [value_of(m) for m in collector.of(Code.SPO2)]
    pulse = [value_of(m) for m in collector.of(Code.PULSE_RATE)]
    assert spo2 == [one.spo2_percent for one in shown][: len(spo2)]
    assert pulse == [one.pulse_bpm for one in shown][: len(pulse)]


async def test_an_oximeter_without_a_finger_tells_nothing(link: AirLink) -> None:
    """Without a finger, saturation and pulse are refused, each with its reason."""
    off = int(SensorStatus.UNCONNECTED_TO_USER)
    await link.add(oximetry(None, off))

    async with collecting(radio(link), ToldHost(), {OXIMETER: 0}) as collector:
        await collector.until(lambda: len(collector.of(Code.SPO2)) >= 20)

    for quantity in (Code.SPO2, Code.PULSE_RATE):
        faults = [m.fault for m in collector.of(quantity)]
        assert faults == [Refusal.OFF_BODY if n % 2 else None for n in range(len(faults))]


async def test_a_spot_check_is_taken_beside_the_stream(link: AirLink) -> None:
    """A spot check is dated by its timestamp, and the stream continues."""
    clock = SensorClock(time.time, ahead_s=-3600.0)
    sensor = oximetry(None)
    usual = sensor.services()
    sensor.services = lambda: [*usual, clock.service()]  # type: ignore[method-assign]
    await link.add(sensor)
    then = to_date_time(clock.shown() - datetime.timedelta(minutes=30))

    async with collecting(radio(link), ToldHost(), {OXIMETER: 0}) as collector:
        await collector.until(lambda: len(collector.of(Code.SPO2)) >= 3)
        await sensor.check(SpotCheck(oximetry=Oximetry(87, 51), timestamp=then))
        before = len(collector.of(Code.SPO2))
        await collector.until(lambda: len(collector.of(Code.SPO2)) >= before + 5)

    (spot,) = [m for m in collector.of(Code.SPO2) if value_of(m) == 87.0]
    assert time.time() - spot.at_ms / 1000 == pytest.approx(1800, abs=20)

"""Every kind of sensor of a home, read through a real BlueZ at the same time."""

import asyncio
import itertools
import time

import pytest

from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.sensors import RadioTimeouts
from edge_agent.gatt import blood_pressure, heart_rate, pulse_oximeter, thermometer, weight
from edge_agent.gatt.blood_pressure import BloodPressureMeasurement
from edge_agent.gatt.ieee11073 import decimal_of
from edge_agent.gatt.pulse_oximeter import ContinuousOximetry, Oximetry, SpotCheck
from edge_agent.gatt.thermometer import TemperatureMeasurement
from edge_agent.gatt.weight import WeightMeasurement
from simulators.sensor.kinds.heart_rate_strap import HeartRateStrap
from simulators.sensor.kinds.oximeter import PulseOximeter
from simulators.sensor.signals import Reading
from tests.bluetooth import instruments
from tests.bluetooth.air import (
    CGM,
    METER,
    OXIMETER,
    STRAP,
    meter_with,
    places,
    rates,
    sensor_with,
)
from tests.bluetooth.instruments import CUFF, SCALE, THERMOMETER, Instrument
from tests.bluetooth.straps import strap
from tests.fakes.bluetooth import Collector, collecting
from tests.radio.conftest import Figures
from tests.radio.machine import RadioMachine
from tests.support.readings import value_of
from wire.quantities import Code

pytestmark = [pytest.mark.radio, pytest.mark.timeout(600)]

PATIENCE_S = 240.0
RECORDS = 100
MINUTES = 50
PRESSURE = BloodPressureMeasurement(systolic=121, diastolic=79, mean=93, pulse_bpm=64)


def oximeter() -> PulseOximeter:
    """Return an oximeter with counting values."""
    shown = (
        ContinuousOximetry(normal=Oximetry(90 + n % 10, 60 + n % 40)) for n in itertools.count()
    )
    return PulseOximeter(OXIMETER, shown, period_s=1.0)


def used(cuff: Instrument, fever: Instrument, scale: Instrument) -> list[asyncio.Task[None]]:
    """Measure with all three instruments, as soon as a central listens."""
    temperature = TemperatureMeasurement(temperature=decimal_of(38.4))
    weighing = WeightMeasurement(weight_steps=14_510)
    return [
        cuff.spawn(cuff.tell_all(blood_pressure.encode(PRESSURE)), "pressure"),
        fever.spawn(fever.tell_all(thermometer.encode(temperature)), "temperature"),
        scale.spawn(scale.tell_all(weight.encode(weighing)), "weight"),
    ]


async def test_all_sensors_of_a_home_are_read(machine: RadioMachine, figures: Figures) -> None:
    """Of seven kinds of sensors at one gateway each value comes once, in order, and right."""
    worn, finger = strap(period_s=1.0), oximeter()
    meter, cgm = meter_with(RECORDS), sensor_with(MINUTES)
    cuff, fever, scale = instruments.cuff(), instruments.thermometer(), instruments.scale()
    all_ = (worn, finger, meter, cgm, cuff, fever, scale)
    async with (
        machine.hearing(*all_),
        collecting(
            Radio(), BluezHost(), {one.address: 0 for one in all_}, patience=RadioTimeouts()
        ) as collector,
    ):
        using = used(cuff, fever, scale)
        await collector.until(
            lambda: all(one.books.connections for one in all_), within_s=PATIENCE_S
        )
        figures.lap("all seven connected after")
        await collector.until(
            lambda: (
                len(collector.of(Code.GLUCOSE_CAPILLARY)) >= RECORDS
                and len(collector.of(Code.GLUCOSE_INTERSTITIAL)) >= MINUTES
                and len(collector.of(Code.BODY_WEIGHT)) >= 1
                and len(collector.of(Code.BODY_TEMPERATURE)) >= 1
                and len(collector.of(Code.BLOOD_PRESSURE_MEAN)) >= 1
            ),
            within_s=PATIENCE_S,
        )
        figures.lap("all that was stored or measured once, after")
        await asyncio.gather(*using)
        await cgm.tell_all(cgm.measure(Reading(7.0), minute=8 * 60))
        await finger.check(SpotCheck(oximetry=Oximetry(87, 51)))
        await collector.until(
            lambda: (
                len(collector.of(Code.GLUCOSE_INTERSTITIAL)) > MINUTES
                and any(value_of(m) == 87.0 for m in collector.of(Code.SPO2))
                and len(rates(collector)) >= 20
                and len(collector.of(Code.SPO2)) >= 20
            ),
            within_s=PATIENCE_S,
        )
        figures.lap("and of those that are worn, after")

    assert_live(collector, worn, finger)
    assert_stored(collector)
    assert_measured(collector)
    assert not collector.refused
    # The intervals of a counting strap do not match its heart rates.
    assert all(m.fault is None for m in collector.taken if m.quantity != Code.RR_INTERVAL)


def assert_live(collector: Collector, worn: HeartRateStrap, finger: PulseOximeter) -> None:
    """Check the values of a strap and an oximeter."""
    sent = [heart_rate.decode(value).heart_rate_bpm for value in worn.sent]
    assert rates(collector) == sent[: len(rates(collector))]
    shown = [pulse_oximeter.decode_continuous(value).normal for value in finger.sent]
    spo2 = [value_of(m) for m in collector.of(Code.SPO2) if value_of(m) != 87.0]
    pulse = [
        value_of(m) for m in collector.of(Code.PULSE_RATE, sensor=OXIMETER) if value_of(m) != 51.0
    ]
    assert spo2 == [one.spo2_percent for one in shown][: len(spo2)]
    assert pulse == [one.pulse_bpm for one in shown][: len(pulse)]


def assert_stored(collector: Collector) -> None:
    """Check the stored records of a meter and a CGM sensor, and the latter's live values."""
    capillary = collector.of(Code.GLUCOSE_CAPILLARY)
    assert places(capillary) == [(0, n) for n in range(1, RECORDS + 1)]
    assert [value_of(m) for m in capillary] == [pytest.approx(5 + n / 100) for n in range(RECORDS)]
    now = time.time()
    ages_s = [now - m.at_ms / 1000 for m in capillary]
    expected = [pytest.approx(60.0 * (RECORDS - n), abs=PATIENCE_S) for n in range(RECORDS)]
    assert ages_s == expected
    minutes = [minute for _, minute in places(collector.of(Code.GLUCOSE_INTERSTITIAL))]
    assert minutes == [*range(0, 5 * MINUTES, 5), 8 * 60]


def assert_measured(collector: Collector) -> None:
    """Check the values of a cuff, a thermometer and a scale."""
    once = {
        CUFF: {
            Code.BLOOD_PRESSURE_SYSTOLIC: 121.0,
            Code.BLOOD_PRESSURE_DIASTOLIC: 79.0,
            Code.BLOOD_PRESSURE_MEAN: 93.0,
            Code.PULSE_RATE: 64.0,
        },
        THERMOMETER: {Code.BODY_TEMPERATURE: 38.4},
        SCALE: {Code.BODY_WEIGHT: 72.55},
    }
    for sensor, expected in once.items():
        taken = [m for m in collector.taken if m.sensor == sensor]
        came = [(m.quantity, value_of(m)) for m in taken if m.quantity != Code.BATTERY_LEVEL]
        assert dict(came) == {c: pytest.approx(v, abs=0.06) for c, v in expected.items()}
        assert len(came) == len(expected)
    assert value_of(collector.of(Code.BATTERY_LEVEL, sensor=STRAP)[0]) == 87
    assert not collector.of(Code.GLUCOSE_CAPILLARY, sensor=CGM)
    assert {m.sensor for m in collector.of(Code.GLUCOSE_CAPILLARY)} == {METER}

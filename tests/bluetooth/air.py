"""Virtual sensors for the agent's radio, and helpers that read what the radio has taken."""

import time

from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.records import record_cursor
from edge_agent.gatt.glucose_context import Meal
from edge_agent.values.measurement import Measurement
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.device.faults import Faults
from simulators.sensor.device.peripheral import Security
from simulators.sensor.kinds.cgm import CgmSensor
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from simulators.sensor.signals import Reading, Strip
from tests.fakes.bluetooth import Collector
from tests.fixtures.link import AirLink
from tests.support.readings import value_of
from wire.quantities import Code

STRAP = "C0:FF:EE:00:00:01"
METER = "C0:FF:EE:00:00:02"
CGM = "C0:FF:EE:00:00:03"
OXIMETER = "C0:FF:EE:00:00:04"
PERIOD_S = 0.04


def radio(link: AirLink) -> Radio:
    """Return the radio settings that reach the sensors of *link*."""
    return Radio(scanner_type=link.scanner_type, client_type=link.client_type, call_s=2.0)


def meter_with(
    count: int,
    *faults: str,
    address: str = METER,
    ahead_s: float = 0.0,
    security: Security | None = None,
) -> GlucoseMeter:
    """Return a meter with *count* records, one minute apart; every third has a context."""
    clock = SensorClock(time.time, ahead_s=ahead_s)
    meter = GlucoseMeter(address, clock, faults=Faults(*faults), security=security)
    fill(meter, count)
    return meter


def fill(meter: GlucoseMeter, count: int) -> None:
    """Let *meter* measure *count* times."""
    for n in range(count):
        meal = Meal.FASTING if n % 3 == 0 else None
        meter.measure(Strip(5.0 + n / 100, meal), ago_s=60.0 * (count - n))


def sensor_with(count: int, *faults: str) -> CgmSensor:
    """Return a sensor in the eighth hour of its session, with a record for every five minutes."""
    sensor = CgmSensor(CGM, time.time, faults=Faults(*faults))
    sensor.session.begin(ago_s=8 * 3600.0)
    for n in range(count):
        sensor.measure(Reading(6.0 + n / 10), minute=5 * n)
    return sensor


def rates(collector: Collector) -> list[float | None]:
    """Return the heart rates that were taken."""
    return [value_of(m) for m in collector.of(Code.HEART_RATE)]


def places(measurements: list[Measurement]) -> list[tuple[int, int]]:
    """Return the generation and sequence of each record."""
    found = [record_cursor.decode(m.record or 0) for m in measurements]
    return [(p.generation, p.sequence) for p in found if p is not None]


def fetches(collector: Collector) -> float:
    """Return how often all records were fetched."""
    return collector.value("record_fetches_total")


async def flow(collector: Collector, count: int = 5, *, within_s: float = 10.0) -> float:
    """Wait for *count* more heart rates; return how long that took, in seconds."""
    began, before = time.monotonic(), len(rates(collector))
    await collector.until(lambda: len(rates(collector)) >= before + count, within_s=within_s)
    return time.monotonic() - began

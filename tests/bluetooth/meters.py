"""Meters with records."""

from edge_agent.gatt.glucose_context import Meal
from edge_agent.gatt.racp import Operator, RacpOpCode, RacpResponse, RacpResponseCode, Request
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.device.faults import Faults
from simulators.sensor.device.peripheral import Security
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from simulators.sensor.signals import Strip

ADDRESS = "C0:FF:EE:00:00:02"
ALL = Request(RacpOpCode.REPORT, Operator.ALL)
DONE = RacpResponse(RacpOpCode.REPORT, RacpResponseCode.SUCCESS)


def meter_with(count: int, *faults: str, security: Security | None = None) -> GlucoseMeter:
    """Return a meter with *count* records, one hour apart; every third has a context."""
    clock = SensorClock(lambda: 1_790_000_000.0)
    meter = GlucoseMeter(ADDRESS, clock, faults=Faults(*faults), security=security)
    for n in range(count):
        meal = Meal.FASTING if n % 3 == 0 else None
        meter.measure(Strip(5.0 + n / 100, meal), ago_s=3600.0 * (count - n))
    return meter

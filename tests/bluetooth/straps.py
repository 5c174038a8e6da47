"""Straps with distinguishable values."""

import itertools
from collections.abc import Iterator, Sequence

from edge_agent.gatt import heart_rate
from edge_agent.gatt.heart_rate import HeartRateMeasurement
from simulators.sensor.device.faults import Faults
from simulators.sensor.kinds.heart_rate_strap import HeartRateStrap


def counting() -> Iterator[HeartRateMeasurement]:
    """Yield 60, 61, 62 and so on, with an RR interval that distinguishes the hundreds."""
    for n in itertools.count():
        yield HeartRateMeasurement(60 + n % 100, True, None, (n % 0x10000,))


def strap(
    *faults: str, address: str = "C0:FF:EE:00:00:01", period_s: float = 0.002
) -> HeartRateStrap:
    """Return a strap that sends counting values."""
    return HeartRateStrap(address, counting(), period_s=period_s, faults=Faults(*faults))


def rates(values: Sequence[bytes]) -> list[int]:
    """Return the heart rate of each value."""
    return [heart_rate.decode(value).heart_rate_bpm for value in values]

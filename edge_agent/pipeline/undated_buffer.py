"""
Holds measurements in memory until the time of day is known.

Their times are right relative to each other, with an unknown common offset. Once the time of day
is known, all of them are shifted by the same amount. They are never written to disk, and those
that turn out to lie outside a lease are refused like any other.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge_agent.values.measurement import Measurement

MAX_WAITING: Final = 20_000
"""An hour of four straps at 1 Hz is 14,400."""
RESERVE: Final = 2_000
"""Additional room for stored records and for measurements that a sensor sends only once."""


class UndatedBuffer:
    """Holds at most `MAX_WAITING` plus `RESERVE` measurements. The oldest are kept."""

    def __init__(self) -> None:
        self._waiting: list[Measurement] = []
        self._highest: dict[str, int] = {}
        """By sensor: the highest record number that waits."""
        self.incomplete: set[str] = set()
        """The sensors that have stored records for which there was no room. A later record must
        not be taken before these are asked for again: it would move the cursor past them."""

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, measurements: Sequence[Measurement]) -> int:
        """
        Hold *measurements*; return how many of them had no room.

        A stored record is held once. It is not durable while it waits, so its sensor sends it
        again at each connection.
        """
        turned_away = 0
        for measurement in measurements:
            if self._waits(measurement):
                continue
            is_live = measurement.record is None and not measurement.is_single
            if len(self._waiting) < MAX_WAITING + (0 if is_live else RESERVE):
                self._waiting.append(measurement)
                if measurement.record is not None:
                    self._highest[measurement.sensor] = measurement.record
            else:
                turned_away += 1
                if measurement.record is not None:
                    self.incomplete.add(measurement.sensor)
        return turned_away

    def _waits(self, measurement: Measurement) -> bool:
        # The port `Sensors` promises ascending records within a sensor.
        record = measurement.record
        return record is not None and record <= self._highest.get(measurement.sensor, 0)

    def release(self, *, shift_ms: int) -> list[Measurement]:
        """Return all measurements in the order in which they came, with *shift_ms* added."""
        moved = [
            msgspec.structs.replace(measurement, at_ms=measurement.at_ms + shift_ms)
            for measurement in self._waiting
        ]
        self.drop()
        return moved

    def drop(self) -> int:
        """Drop all measurements; return their number."""
        dropped = len(self._waiting)
        self._waiting.clear()
        self._highest.clear()
        self.incomplete.clear()
        return dropped

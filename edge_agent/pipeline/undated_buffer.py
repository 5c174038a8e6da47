"""
Measurements from before the time was known wait here, in memory, until it is.

What came is stamped on a timeline that has the right length and an unknown beginning. Once the
time is known all of them move by the same amount. Nothing of it is ever on disk, and what turns
out to be outside a lease is refused as ever.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge_agent.values.measurement import Measurement

MAX_WAITING: Final = 20_000
"""An hour of four straps, and some to spare."""
RESERVE: Final = 2_000
"""Beyond it for stored records, and for what is told once."""


class UndatedBuffer:
    """Holds at most `MAX_WAITING` measurements and the `RESERVE`, the oldest of all."""

    def __init__(self) -> None:
        self._waiting: list[Measurement] = []
        self._highest: dict[str, int] = {}
        """Record of each sensor that waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, measurements: Sequence[Measurement]) -> int:
        """
        Hold *measurements*; return how many of them found no room.

        A stored record is held once: as long as it waits it is not durable, and whoever stores it
        tells it again at each visit.
        """
        turned_away = 0
        for measurement in measurements:
            if self._waits(measurement):
                continue
            # A stored record that is turned away is lost: the cursor goes past it with the next.
            is_live = measurement.record is None and not measurement.is_single
            if len(self._waiting) < MAX_WAITING + (0 if is_live else RESERVE):
                self._waiting.append(measurement)
                if measurement.record is not None:
                    self._highest[measurement.sensor] = measurement.record
            else:
                turned_away += 1
        return turned_away

    def _waits(self, measurement: Measurement) -> bool:
        # In order within a sensor, as the port promises.
        record = measurement.record
        return record is not None and record <= self._highest.get(measurement.sensor, 0)

    def release(self, *, shift_ms: int) -> list[Measurement]:
        """Return all of them in the order in which they came, *shift_ms* later."""
        moved = [
            msgspec.structs.replace(measurement, at_ms=measurement.at_ms + shift_ms)
            for measurement in self._waiting
        ]
        self.drop()
        return moved

    def drop(self) -> int:
        """Drop all of them; return how many there were."""
        dropped = len(self._waiting)
        self._waiting.clear()
        self._highest.clear()
        return dropped

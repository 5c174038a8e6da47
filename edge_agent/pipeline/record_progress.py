"""
How far the stored records of each sensor have come: taken, and durable.

Pure. A sensor numbers its records upwards. One that is asked again repeats them, so records that
came before are recognised by their number.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from edge_agent.values.checkpoint import Checkpoint, cursor_of, through_of
from edge_agent.values.measurement import Measurement

OpenRecords: TypeAlias = Mapping[str, Mapping[int, int]]
"""By sensor, then by quantity: the lowest record number in an interval that is open."""


class RecordProgress:
    """
    The record numbers that each sensor has reached, by sensor and by quantity.

    A sensor's cursor is the number up to which every record is durable or dropped. One quantity
    can be durable beyond it while another one holds the cursor back.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._through: dict[tuple[str, int], int] = {}
        self._last: dict[tuple[str, int], int] = {}

    def restore(
        self, sensor: str, quantities: Collection[int], marks: Mapping[Checkpoint, int]
    ) -> None:
        """Continue from the saved *marks* of *sensor*, unless its progress is known already."""
        self._seen.setdefault(sensor, marks.get(cursor_of(sensor), 0))
        for quantity in quantities:
            known = marks.get(through_of(sensor, quantity), 0)
            self._through.setdefault((sensor, quantity), known)

    def was_seen(self, measurement: Measurement) -> bool:
        """Tell whether this stored record came before; otherwise note that it has come now."""
        sensor, record = measurement.sensor, measurement.record
        if record is None:
            return False
        key = sensor, measurement.quantity
        if record <= self._seen[sensor]:
            return True
        self._seen[sensor] = record
        # A record beyond the cursor can be durable: another quantity may hold the cursor back.
        through = self._through.get(key, 0)
        self._last[key] = max(record, through)
        return record <= through

    def cursors(
        self, open_records: OpenRecords, *, is_batched: Callable[[str], bool]
    ) -> dict[str, int]:
        """
        Return, for each sensor with nothing in a batch, its last record that is durable.

        Args:
            open_records: Records in intervals that are open.

            is_batched: Whether something that may be of this sensor waits in a batch.
        """
        return {
            sensor: min([record - 1 for record in open_records.get(sensor, {}).values()] + [seen])
            for sensor, seen in self._seen.items()
            if seen and not is_batched(sensor)
        }

    def marks(
        self, cursors: Mapping[str, int], open_records: OpenRecords
    ) -> dict[Checkpoint, int]:
        """Return the checkpoints of the sensors in *cursors*, which `cursors` has returned."""
        marks = {cursor_of(sensor): record for sensor, record in cursors.items()}
        for (sensor, quantity), last in self._last.items():
            if sensor in cursors:
                lowest = open_records.get(sensor, {}).get(quantity, last + 1)
                marks[through_of(sensor, quantity)] = lowest - 1
        return marks

"""
Readings with local times, gathered over a file before their times can be told.

The order of dates is known only at the end of a file, and the repeated hour only from a series.
"""

from typing import Final

import msgspec

from recordings.glucose import GlucoseColumn
from recordings.options import ReadOptions
from recordings.parsing.clocks import DateOrder, OrderEvidence, Stamp, date_within, stamp_of
from recordings.parsing.fields import Decimals
from recordings.parsing.zones import RepeatedHour, instants_of
from recordings.sample import Sample
from recordings.tally import ParseTally, Reason, in_order

NO_DEVICE: Final = ""


class LocalReading(msgspec.Struct, frozen=True, gc=False):
    """One reading, its time as it stands in the file."""

    line: int
    stamp: Stamp
    text: str
    column: int
    """Index of the column, in the list that `LocalReadings` was given."""


class LocalReadings:
    """
    The readings of a file with local times.

    Args:
        columns: The columns of values, each in its unit.

        options: The user's answers.

        tally: Counts each reading, and why it was refused.
    """

    def __init__(
        self, columns: list[GlucoseColumn], options: ReadOptions, tally: ParseTally
    ) -> None:
        self.columns = columns
        self._options = options
        self._tally = tally
        self._evidence = OrderEvidence(options.date_order)
        self._has_half_days = False
        self._series: dict[tuple[str, int], list[LocalReading]] = {}
        self.written: Stamp | None = None
        """When the file says that it was written."""

    def note_written(self, text: str, line: int) -> None:
        """Take the moment of writing in *text* into account, if there is one."""
        self.written = date_within(text)
        if self.written is not None:
            self._evidence.see(self.written, line)

    def add(self, line: int, time: str, text: str, column: int, device: str = NO_DEVICE) -> None:
        """
        Take one reading of *device*, whose value is *text*.

        Raises:
            FileRefused: There are more than a recording of years has.
        """
        self._tally.row()
        stamp = stamp_of(time)
        if stamp is None:
            self._tally.reject(Reason.BAD_TIME, line)
            return
        self._evidence.see(stamp, line)
        self._has_half_days |= stamp.is_half_day
        self._series.setdefault((device, column), []).append(
            LocalReading(line, stamp, text.strip(), column)
        )

    def samples(self) -> list[Sample]:
        """
        Return the samples of all readings, in the order of time.

        Raises:
            FileRefused: The order of dates cannot be told.
        """
        stamps = [r.stamp for series in self._series.values() for r in series]
        order = self._evidence.decide(self.written, stamps)
        self._tally.date_order = order
        if self._options.zone is not None:
            self._tally.zone = self._options.zone.name
        found: list[tuple[int, Sample]] = []
        for series in self._series.values():
            found += self._of_series(series, order)
        found.sort(key=lambda pair: pair[0])
        return in_order([sample for _, sample in found], self._tally)

    def _of_series(self, series: list[LocalReading], order: DateOrder) -> list[tuple[int, Sample]]:
        """Return the samples of *series*, each with its line."""
        dated: list[tuple[LocalReading, int]] = []
        for reading in series:
            wall = self._wall_ms(reading.stamp, order)
            if wall is None:
                self._tally.reject(Reason.BAD_TIME, reading.line)
            else:
                dated.append((reading, wall))
        if dated and dated[0][1] > dated[-1][1]:
            dated.reverse()  # Some exports begin with the newest.
        instants = instants_of([wall for _, wall in dated], self._options.zone)
        samples = []
        for (reading, _), instant in zip(dated, instants, strict=True):
            if isinstance(instant, RepeatedHour):
                self._tally.reject(Reason.REPEATED_HOUR, reading.line)
            elif instant is None:
                self._tally.reject(Reason.BAD_TIME, reading.line)
            else:
                column = self.columns[reading.column]
                sample = column.read(instant, reading.text, self._tally, reading.line)
                if sample is not None:
                    samples.append((reading.line, sample))
        return samples

    def _wall_ms(self, stamp: Stamp, order: DateOrder) -> int | None:
        # In a file with AM and PM, a time without them can be one of two.
        if self._has_half_days and not stamp.is_half_day:
            return None
        return stamp.wall_ms(order)


def columns_of(
    units: list[str], quantities: list[str], limits: frozenset[int] = frozenset()
) -> list[GlucoseColumn]:
    """Return one column for each of *units* and *quantities*, with one decimal sign for all."""
    decimals = Decimals()
    return [
        GlucoseColumn(unit, decimals, quantity=quantity, low_and_high=limits)
        for unit, quantity in zip(units, quantities, strict=True)
    ]

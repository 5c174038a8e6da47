"""What a reader tells about a file: counts with reasons, and what the file says of itself."""

import enum

import msgspec

from recordings.errors import FileReason, FileRefused
from recordings.sample import Sample

MAX_READINGS = 2_000_000
"""The most readings of one file: one each minute for nearly four years."""


class Reason(enum.StrEnum):
    """Why a reading was refused."""

    UNREADABLE = "unreadable"
    """The row does not have the form of this format."""
    BAD_TIME = "bad_time"
    """The time is not valid, or the local clock skipped it."""
    REPEATED_HOUR = "repeated_hour"
    """The local clock showed this time twice, and nothing tells which of the two is meant."""
    BAD_NUMBER = "bad_number"
    """The value is not a finite decimal number, or beyond what such a sensor can send."""
    MIXED_DECIMAL_SIGN = "mixed_decimal_sign"
    """The file writes decimals with another sign than this row."""
    IMPLAUSIBLE = "implausible"
    """No living person shows this value in the unit of the file."""
    UNIT_NOT_SAID = "unit_not_said"
    """The reading has no unit, or one that is not known."""
    SPECIMEN_NOT_SAID = "specimen_not_said"
    """The file does not say whether a glucose value is interstitial or capillary."""
    NOT_ASCENDING = "not_ascending"
    """The row is earlier than the row before it."""
    DUPLICATE = "duplicate"
    """The row repeats a moment and its value."""
    CONFLICTING = "conflicting"
    """The row repeats a moment with another value; the first one counts."""
    NO_VALUE = "no_value"
    """The field of the value is empty."""


class ParseTally(msgspec.Struct):
    """Counts of one reading of one file, and what the file says of itself."""

    rows: int = 0
    """Readings in the file, good or bad."""
    passed_over: int = 0
    """Rows of another kind, such as headings, alarms and calibrations."""
    bad: dict[Reason, int] = {}
    first_lines: dict[Reason, int] = {}
    """The first line that was refused for a reason, where the format has lines."""
    language: str | None = None
    """Of the headings, ISO 639-1."""
    unit: str | None = None
    """As the file writes it; several are separated by commas."""
    zone: str | None = None
    """The zone of the times, or None for local times without a zone."""
    encoding: str | None = None
    date_order: str | None = None

    def reject(self, reason: Reason, line: int | None = None, *, count: int = 1) -> None:
        """Count *count* readings that were refused, the first of them in *line*."""
        self.bad[reason] = self.bad.get(reason, 0) + count
        if line is not None:
            self.first_lines.setdefault(reason, line)

    def row(self) -> None:
        """
        Count one reading of the file.

        Raises:
            FileRefused: There are more than a recording of years has.
        """
        self.rows += 1
        if self.rows > MAX_READINGS:
            raise FileRefused(FileReason.TOO_LARGE)

    def say_unit(self, unit: str) -> None:
        """Note *unit* as one of the file's."""
        known = self.unit.split(", ") if self.unit else []
        if unit not in known:
            self.unit = ", ".join([*known, unit])


def in_order(samples: list[Sample], tally: ParseTally) -> list[Sample]:
    """
    Return *samples* in the order of their times, one for each moment and quantity.

    Of two with the same moment and quantity the first one in the file is kept; the other one is
    counted in *tally*. The order of a file is not that of time: exports write scans after the
    history, and some write the newest first.
    """
    kept: dict[tuple[int, str], Sample] = {}
    for sample in samples:
        first = kept.setdefault((sample.offset_ms, sample.quantity), sample)
        if first is not sample:
            tally.reject(Reason.DUPLICATE if sample == first else Reason.CONFLICTING)
    return sorted(kept.values(), key=lambda sample: sample.offset_ms)

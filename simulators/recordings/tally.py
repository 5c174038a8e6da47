"""What a parser met: how many rows, and for each row that gave no sample, why."""

import enum

import msgspec


class Reason(enum.StrEnum):
    """Why a row gave no sample."""

    UNREADABLE = "unreadable"
    """Not a row of this format."""
    BAD_TIME = "bad_time"
    """Not a time, or one that the clock on the wall never showed."""
    BAD_NUMBER = "bad_number"
    """Not a finite decimal number, or one that no such sensor can send."""
    NOT_ASCENDING = "not_ascending"
    """Earlier than the row before it."""
    DUPLICATE = "duplicate"
    """The same moment with the same value again."""
    CONFLICTING = "conflicting"
    """The same moment with another value; the first one counts."""
    NO_VALUE = "no_value"
    """The place of the value is empty."""


class ParseTally(msgspec.Struct):
    """Counts of one reading of one file."""

    rows: int = 0
    """Rows that speak of the quantity, good or bad."""
    passed_over: int = 0
    """Rows of another kind: headings, alarms, calibrations."""
    bad: dict[Reason, int] = {}

    def reject(self, reason: Reason) -> None:
        """Count a row that gave no sample."""
        self.bad[reason] = self.bad.get(reason, 0) + 1

"""Counts of a parser: how many rows it read, and why rows gave no sample."""

import enum

import msgspec


class Reason(enum.StrEnum):
    """Why a row gave no sample."""

    UNREADABLE = "unreadable"
    """The row does not have the form of this format."""
    BAD_TIME = "bad_time"
    """The time is not valid, or the local clock skipped it."""
    BAD_NUMBER = "bad_number"
    """The value is not a finite decimal number, or beyond what such a sensor can send."""
    NOT_ASCENDING = "not_ascending"
    """The row is earlier than the row before it."""
    DUPLICATE = "duplicate"
    """The row repeats a moment and its value."""
    CONFLICTING = "conflicting"
    """The row repeats a moment with another value; the first one counts."""
    NO_VALUE = "no_value"
    """The field of the value is empty."""


class ParseTally(msgspec.Struct):
    """Counts of one reading of one file."""

    rows: int = 0
    """Rows about the quantity, good or bad."""
    passed_over: int = 0
    """Rows of another kind, such as headings, alarms and calibrations."""
    bad: dict[Reason, int] = {}

    def reject(self, reason: Reason) -> None:
        """Count a row that gave no sample."""
        self.bad[reason] = self.bad.get(reason, 0) + 1

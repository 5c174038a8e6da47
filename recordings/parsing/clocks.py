"""
Dates and times of day as files write them, and the order of day, month and year in a file.

A file has one order. What decides it, first: a year in front; a date that exists in one order
only; full stops, which stand between day, month and year only; the moment at which the file says
it was written, after which it can hold no reading. Nothing else decides: neither the language nor
AM and PM, because people choose both apart from the order.
"""

import datetime as dt
import enum
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from recordings.errors import FileReason, FileRefused

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_MS: Final = 86_400_000
_HALF: Final = r"(?:\s*([ap])\.?\s?m\.?)?"
_STAMP: Final = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?:T|\s+|,\s*)"
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?" + _HALF,
    re.ASCII | re.IGNORECASE,
)
_DATE: Final = re.compile(r"(?<![\d/.-])(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?![\d/.-])", re.ASCII)
_FIRST_SHORT_YEAR: Final = 2008
"""Two digits are not read as an earlier year: it might be a day, and no export is older."""


class DateOrder(enum.StrEnum):
    """The order of a date."""

    YEAR_FIRST = "year-first"
    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """A date in an order that may not be known, and a time of day."""

    first: int
    second: int
    third: int
    is_year_first: bool
    is_dotted: bool
    clock_ms: int
    """Time of day in ms."""
    is_half_day: bool
    """Written with AM or PM."""

    def wall_ms(self, order: DateOrder) -> int | None:
        """Return the moment in ms since 1970, as if the clock were UTC; None if there is none."""
        if self.is_year_first:
            year, month, day = self.first, self.second, self.third
        elif order is DateOrder.MONTH_FIRST:
            month, day, year = self.first, self.second, self.third
        else:
            day, month, year = self.first, self.second, self.third
        return date_ms(year, month, day, self.clock_ms)


def date_ms(year: int, month: int, day: int, clock_ms: int) -> int | None:
    """Return a date and a time of day in ms since 1970, as if the clock were UTC, or None."""
    if not 1990 <= year <= 2200:
        return None
    try:
        midnight = dt.datetime(year, month, day, tzinfo=dt.UTC)
    except ValueError:
        return None
    return (midnight - _EPOCH) // dt.timedelta(milliseconds=1) + clock_ms


def clock_ms_of(hour: int, minute: int, second: int, half: str | None) -> int | None:
    """Return a time of day in ms; *half* is the letter of AM or PM, or None for 24 hours."""
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1000


def stamp_of(text: str) -> Stamp | None:
    """Return the date and time in *text*, or None."""
    match = _STAMP.fullmatch(text.strip())
    return _stamp(match) if match is not None else None


def date_within(text: str) -> Stamp | None:
    """Return the first date in *text*, with the time of day after it or midnight; or None."""
    match = _STAMP.search(text)
    if match is not None:
        return _stamp(match)
    match = _DATE.search(text)
    return stamp_of(f"{match[0]} 00:00") if match is not None else None


def _stamp(match: re.Match[str]) -> Stamp | None:
    clock = clock_ms_of(int(match[5]), int(match[6]), int(match[7] or 0), match[8])
    if clock is None:
        return None
    first, second, third = int(match[1]), int(match[3]), int(match[4])
    is_year_first = len(match[1]) == 4
    if not is_year_first:
        if len(match[1]) > 2 or len(match[4]) not in (2, 4):
            return None
        if len(match[4]) == 2:
            third += 2000
            if third < _FIRST_SHORT_YEAR:
                return None
    elif len(match[4]) > 2:
        return None
    return Stamp(first, second, third, is_year_first, match[2] == ".", clock, match[8] is not None)


class OrderEvidence:
    """
    What the dates of a file say about their order.

    Args:
        asked: The order that the user named, for a file that does not tell it.
    """

    def __init__(self, asked: DateOrder | None) -> None:
        self._asked = asked
        self._day_first: int | None = None
        self._month_first: int | None = None
        self._open: int | None = None
        self._has_dots = False

    def see(self, stamp: Stamp, line: int) -> None:
        """Take the date in *line* into account."""
        if stamp.is_year_first:
            return
        day_first = stamp.wall_ms(DateOrder.DAY_FIRST)
        month_first = stamp.wall_ms(DateOrder.MONTH_FIRST)
        if day_first is not None and month_first is None:
            self._day_first = self._day_first or line
        elif month_first is not None and day_first is None:
            self._month_first = self._month_first or line
        elif day_first != month_first:
            self._open = self._open or line
            self._has_dots |= stamp.is_dotted

    def decide(self, written: Stamp | None, stamps: Sequence[Stamp]) -> DateOrder:
        """
        Return the order of the file.

        Args:
            written: When the file says that it was written.

            stamps: All dates of the file.

        Raises:
            FileRefused: The dates contradict each other, or can be read in two ways.
        """
        if self._day_first is not None and self._month_first is not None:
            raise FileRefused(
                FileReason.DATE_ORDER_MIXED, line=max(self._day_first, self._month_first)
            )
        if self._day_first is not None:
            return DateOrder.DAY_FIRST
        if self._month_first is not None:
            return DateOrder.MONTH_FIRST
        if self._open is None:
            return DateOrder.YEAR_FIRST
        if self._has_dots:
            return DateOrder.DAY_FIRST
        possible = [
            order
            for order in (DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST)
            if written is None or _is_possible(order, written, stamps)
        ]
        if len(possible) == 1:
            return possible[0]
        if self._asked in possible:
            return self._asked
        raise FileRefused(FileReason.DATE_ORDER_NOT_SAID, line=self._open)


def _is_possible(order: DateOrder, written: Stamp, stamps: Sequence[Stamp]) -> bool:
    """Tell whether no reading is later than the file, with a day for the difference of zones."""
    limit = written.wall_ms(order)
    if limit is None:
        return True
    moments = (stamp.wall_ms(order) for stamp in stamps if not stamp.is_year_first)
    return all(moment is None or moment <= limit + _DAY_MS for moment in moments)

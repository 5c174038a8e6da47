"""
British local time without a zone, converted to instants.

The rule is written out (Directive 2000/84/EC, kept by the UK: from the last Sunday of March to the
last Sunday of October, changing at 01:00 UTC), because a small machine may have no zone data.
"""

import datetime as dt
from typing import Final

_HOUR_MS: Final = 3_600_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _change_ms(year: int, month: int) -> int:
    """Return 01:00 UTC of the last Sunday of *month*, a month with 31 days, in ms since 1970."""
    last = dt.datetime(year, month, 31, 1, tzinfo=dt.UTC)
    sunday = last - dt.timedelta(days=(last.weekday() + 1) % 7)
    return (sunday - _EPOCH) // dt.timedelta(milliseconds=1)


class UkClock:
    """
    Converts the times of one recording, in their order.

    The hour that occurs twice in October is only told apart by that order: a time in it that would
    lie before the last one belongs to the second pass.
    """

    def __init__(self) -> None:
        self._last_ms: int | None = None
        self._changes: dict[int, tuple[int, int]] = {}

    def instant_ms(self, wall_ms: int) -> int | None:
        """
        Return the instant at which British clocks showed *wall_ms*, or None if they skipped it.

        Args:
            wall_ms: Local time in ms since 1970, as if it were UTC.
        """
        spring, autumn = self._changes_near(wall_ms)
        if spring <= wall_ms < spring + _HOUR_MS:
            return None
        if not spring <= wall_ms < autumn + _HOUR_MS:
            instant = wall_ms
        elif wall_ms < autumn or self._last_ms is None:
            instant = wall_ms - _HOUR_MS
        else:
            instant = wall_ms - _HOUR_MS if wall_ms - _HOUR_MS >= self._last_ms else wall_ms
        if self._last_ms is None or instant > self._last_ms:
            self._last_ms = instant
        return instant

    def _changes_near(self, wall_ms: int) -> tuple[int, int]:
        year = (_EPOCH + dt.timedelta(milliseconds=wall_ms)).year
        if year not in self._changes:
            self._changes[year] = (_change_ms(year, 3), _change_ms(year, 10))
        return self._changes[year]

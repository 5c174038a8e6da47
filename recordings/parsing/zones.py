"""
Local times converted to instants, also in the hour that a clock shows twice in autumn.

A series is what one sensor wrote, in the order in which it wrote. In the repeated hour only that
order tells the two passes apart: a clock that goes back has begun the second one. Where neither
the order nor the neighbours tell, the reading is refused.
"""

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from typing import Final, Protocol

_HOUR_MS: Final = 3_600_000
_NEAR_MS: Final = 1_800_000
"""A neighbour at most so far away belongs to the same pass."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS: Final = dt.timedelta(milliseconds=1)
_SUNDAY: Final = 6
_CHANGES: Final = {4: range(1, 8), 10: range(25, 32), 11: range(1, 8)}
"""
By month, the days of the Sunday on which clocks go back: the first of April in Australia, New
Zealand and Chile, the last of October in Europe, the first of November in North America.
"""
_NIGHT_MS: Final = 4 * _HOUR_MS


class LocalZone(Protocol):
    """The rules of a local clock."""

    def instants_at(self, wall_ms: int) -> tuple[int, ...]:
        """
        Return the instants at which the clock shows *wall_ms*: none, one or two, ascending.

        Args:
            wall_ms: Local time in ms since 1970, as if it were UTC.
        """
        ...


class IanaZone:
    """
    A zone of the IANA database.

    Args:
        name: Such as "Europe/Paris".

    Raises:
        ValueError: There is no such zone, or no zone data on this machine.
    """

    def __init__(self, name: str) -> None:
        try:
            self._zone = zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"{name!r} is not a time zone of this machine. Write a name such as Europe/Paris;"
                " if that is refused too, install the package tzdata."
            ) from None
        self.name = name

    def instants_at(self, wall_ms: int) -> tuple[int, ...]:
        wall = (_EPOCH + wall_ms * _MS).replace(tzinfo=None)
        found = set()
        for fold in (0, 1):
            instant = wall.replace(tzinfo=self._zone, fold=fold).astimezone(dt.UTC)
            if instant.astimezone(self._zone).replace(tzinfo=None) == wall:
                found.add((instant - _EPOCH) // _MS)
        return tuple(sorted(found))


class RepeatedHour:
    """Marks a time that the clock showed twice, when nothing tells which of the two is meant."""


REPEATED_HOUR: Final = RepeatedHour()
Instant = int | RepeatedHour | None
"""ms since 1970; `REPEATED_HOUR`; or None for a time that the clock skipped."""


def instants_of(walls: Sequence[int], zone: LocalZone | None) -> list[Instant]:
    """
    Return the instant of each of *walls*.

    Args:
        walls: Local times of one series, in the order of the file.

        zone: The zone of the clock; None if it is not known. The instants then are local times
            as if they were UTC, without those that the clock is seen to have shown twice.
    """
    return _without_zone(walls) if zone is None else _in_zone(walls, zone)


def _without_zone(walls: Sequence[int]) -> list[Instant]:
    repeated: list[tuple[int, int]] = []
    latest: int | None = None
    for wall in walls:
        if latest is not None and 0 < latest - wall <= _HOUR_MS and _may_repeat(wall):
            repeated.append(_hour_around(wall, latest))
        latest = wall if latest is None else max(latest, wall)
    if not repeated:
        return list(walls)
    return [
        REPEATED_HOUR if any(first <= wall < end for first, end in repeated) else wall
        for wall in walls
    ]


def _hour_around(wall: int, latest: int) -> tuple[int, int]:
    """Return the local hours that *wall* and *latest* stand in, from the first to the end."""
    return wall - wall % _HOUR_MS, latest - latest % _HOUR_MS + _HOUR_MS


def _may_repeat(wall_ms: int) -> bool:
    """Tell whether clocks go back somewhere in the night of *wall_ms*."""
    moment = _EPOCH + wall_ms * _MS
    return (
        moment.weekday() == _SUNDAY
        and moment.day in _CHANGES.get(moment.month, ())
        and wall_ms % 86_400_000 < _NIGHT_MS
    )


def _in_zone(walls: Sequence[int], zone: LocalZone) -> list[Instant]:
    found: list[Instant] = []
    choices = [zone.instants_at(wall) for wall in walls]
    place = 0
    while place < len(choices):
        if len(choices[place]) < 2:
            found.append(choices[place][0] if choices[place] else None)
            place += 1
            continue
        end = place
        while end < len(choices) and len(choices[end]) == 2:
            end += 1
        before = next((i for i in reversed(found) if isinstance(i, int)), None)
        after = choices[end][0] if end < len(choices) and choices[end] else None
        found += _repeated(choices[place:end], before, after)
        place = end
    return found


def _repeated(
    choices: Sequence[tuple[int, ...]], before: int | None, after: int | None
) -> list[Instant]:
    """
    Return the instants of readings in a repeated hour that stand together in the file.

    Args:
        choices: The two instants of each.

        before: The instant of the reading before them, or None.

        after: The instant of the reading after them, or None.
    """
    backwards = [n for n in range(1, len(choices)) if choices[n][0] < choices[n - 1][0]]
    if len(backwards) == 1:
        turn = backwards[0]
        return [choice[n >= turn] for n, choice in enumerate(choices)]
    if backwards:
        return [REPEATED_HOUR] * len(choices)
    if before is not None and 0 <= choices[0][0] - before <= _NEAR_MS:
        return [choice[0] for choice in choices]
    if after is not None and 0 <= after - choices[-1][1] <= _NEAR_MS:
        return [choice[1] for choice in choices]
    return [REPEATED_HOUR] * len(choices)

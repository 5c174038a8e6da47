"""Converts the text of arguments to values; invalid text raises ValueError."""

import datetime as dt
import enum
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from trust.cli.command import Moment, check_instant, check_period
from trust.domain import durations


def names(text: str) -> list[str]:
    """Return the words of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def instant(text: str) -> dt.datetime:
    """Return the time of *text* in UTC; *text* must contain a zone."""
    at = dt.datetime.fromisoformat(text)
    check_instant(at)
    return at.astimezone(dt.UTC)


def moment(text: str) -> Moment:
    """Return the time of *text*; `now` means the time at which the command runs."""
    return Moment(None if text == "now" else instant(text))


def period(text: str) -> dt.timedelta:
    """Return the period of *text*, at most a hundred years."""
    found = dt.timedelta(milliseconds=durations.parse(text))
    check_period(found)
    return found


_KINDS: Final[Mapping[Any, Callable[[str], Any]]] = {
    UUID: UUID,
    int: int,
    str: str,
    dt.datetime: instant,
    dt.timedelta: period,
    Moment: moment,
}


def without_none(kind: Any) -> Any:
    """Return the type *kind* without None, if it is an optional type."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    return kind


def convert(kind: Any) -> Callable[[str], Any]:
    """Return the function that converts text to *kind* and raises ValueError for invalid text."""
    kind = without_none(kind)
    if typing.get_origin(kind) is Annotated:
        return lambda text: msgspec.convert(text, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    return _KINDS[kind]

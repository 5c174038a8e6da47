"""Kinds of arguments: text in, a value out; ValueError for any other text."""

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
    """Return the words of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def instant(text: str) -> dt.datetime:
    """Return a time in UTC; *text* says its zone."""
    at = dt.datetime.fromisoformat(text)
    check_instant(at)
    return at.astimezone(dt.UTC)


def moment(text: str) -> Moment:
    """Return a time, or `now` as the time at which the command runs."""
    return Moment(None if text == "now" else instant(text))


def period(text: str) -> dt.timedelta:
    """Return a length of time, of at most a hundred years."""
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
    """Return *kind* without the None that it may be."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    return kind


def convert(kind: Any) -> Callable[[str], Any]:
    """Return what converts text to the type *kind*; it raises ValueError for any other text."""
    kind = without_none(kind)
    if typing.get_origin(kind) is Annotated:
        return lambda text: msgspec.convert(text, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    return _KINDS[kind]

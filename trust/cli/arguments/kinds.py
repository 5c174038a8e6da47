"""Kinds of arguments: text in, a value out; ValueError for anything else."""

import datetime as dt
import re
from typing import Final, Literal

from trust.decisions.representatives import is_birth_month
from trust.domain import durations

_FIRST: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST: Final = dt.datetime(9000, 1, 1, tzinfo=dt.UTC)
_LONGEST: Final = dt.timedelta(days=durations.LONGEST_DAYS)


def names(text: str) -> list[str]:
    """Return the words of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def instant(text: str) -> dt.datetime:
    """Return a time; it says its zone, and a lifetime more or less is on the calendar too."""
    at = dt.datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no zone")
    if not _FIRST <= at < _LAST:
        raise ValueError("not in 1970 to 8999")
    return at.astimezone(dt.UTC)


def instant_or_now(text: str) -> dt.datetime | Literal["now"]:
    """Return a time, or the word for the time at which the command runs."""
    return "now" if text == "now" else instant(text)


def period(text: str) -> dt.timedelta:
    """Return a length of time, of at most a hundred years."""
    found = dt.timedelta(milliseconds=durations.parse(text))
    if found > _LONGEST:
        raise ValueError("longer than a hundred years")
    return found


def sha256(text: str) -> str:
    """Return a SHA-256 in hexadecimal."""
    if re.fullmatch(r"[0-9a-f]{64}", text, re.ASCII) is None:
        raise ValueError("not a SHA-256")
    return text


def locale(text: str) -> str:
    """Return a language, with or without a country."""
    if re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", text, re.ASCII) is None:
        raise ValueError("not a locale")
    return text


def birth_month(text: str) -> str:
    """Return a year and a month."""
    if not is_birth_month(text):
        raise ValueError("not a month")
    return text

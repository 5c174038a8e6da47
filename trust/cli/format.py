"""Formats times for results."""

import datetime as dt


def format_instant(at: dt.datetime) -> str:
    """Return *at* as text in UTC, to the microsecond."""
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds")


def format_second(at: dt.datetime) -> str:
    """Return *at* as text in UTC, to the second."""
    return at.astimezone(dt.UTC).isoformat(timespec="seconds")

"""Durations as people write them in a policy: `1ms`, `60s`, `5min`, `1h`, `395d`, `PT1M`."""

import datetime as dt
import re
from decimal import Decimal
from typing import Final

_MS: Final = {
    "ms": 1,
    "s": 1000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
}
LONGEST_DAYS: Final = 36_525
"""A hundred years: no duration is longer, and a date plus this is still a valid date."""
_PLAIN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|min|h|d)", re.ASCII)
# ISO 8601 without months and years, which have no fixed length.
_ISO: Final = re.compile(
    r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?"
    r"(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,3})?)S)?)?",
    re.ASCII,
)
_ISO_MS: Final = (7 * _MS["d"], _MS["d"], _MS["h"], _MS["min"], _MS["s"])


def whole_ms(at: dt.datetime) -> dt.datetime:
    """Return *at* rounded down to a whole millisecond, the finest time on the wire."""
    return at - dt.timedelta(microseconds=at.microsecond % 1000)


def parse(text: str) -> int:
    """
    Return the duration in *text* as a whole number of milliseconds.

    Raises:
        ValueError: The text is no duration, or the duration is zero or no whole number of
            milliseconds.
    """
    total = _parse_plain(text)
    if total is None:
        total = _parse_iso(text)
    if total is None:
        raise ValueError("not a duration")
    if total != total.to_integral_value() or total < 1:
        raise ValueError("not a whole number of milliseconds, at least 1")
    return int(total)


def _parse_plain(text: str) -> Decimal | None:
    match = _PLAIN.fullmatch(text)
    return None if match is None else Decimal(match.group(1)) * _MS[match.group(2)]


def _parse_iso(text: str) -> Decimal | None:
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    parts = zip(match.groups(), _ISO_MS, strict=True)
    return sum((Decimal(number) * ms for number, ms in parts if number), Decimal(0))

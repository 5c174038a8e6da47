"""Moments with a zone of their own, as JSON and XML files write them."""

import datetime as dt
import re
from typing import Final

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS: Final = dt.timedelta(milliseconds=1)
_ISO: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))? ?(Z|[+-]\d{2}:?\d{2})", re.ASCII
)
_FIRST_MS: Final = 946_684_800_000
_LAST_MS: Final = 7_258_118_400_000
"""From 2000 to 2200."""


def instant_ms(text: object) -> int | None:
    """Return the ISO 8601 date, time and offset in *text* in ms since 1970, or None."""
    match = _ISO.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    offset = "+00:00" if match[4] == "Z" else match[4]
    try:
        moment = dt.datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}")
    except ValueError:
        return None
    fraction_ms = int((match[3] or "0").ljust(3, "0")[:3])
    return _checked((moment - _EPOCH) // _MS + fraction_ms)


def epoch_ms(value: object) -> int | None:
    """Return *value*, which counts seconds or ms since 1970, in ms; or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e14:
        return None
    # Seconds of this century have ten digits, ms have twelve or thirteen.
    return _checked(round(value * 1000) if value < 1e11 else round(value))


def _checked(ms: int) -> int | None:
    return ms if _FIRST_MS <= ms < _LAST_MS else None

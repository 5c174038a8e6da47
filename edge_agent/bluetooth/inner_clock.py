"""
The inner clock of a meter: what it is ahead of UTC, decided from this contact and the last. Pure.

Glucose Service 1.0.1: a record has a base time, by a clock that the owner does not set, and the
offset at that moment of the clock that the owner sees. Only the owner's clock can be read. What
the inner clock shows now follows from it by the offset of now, which no record tells: the newest
record has the one of its time, and the owner may have moved the clock since, as at the end of
summer time. The inner clock that was read at the last contact decides, because it does not move.
"""

from typing import Final

import msgspec

from edge_agent.bluetooth.dating import ClockVerdict, shown_ms
from edge_agent.gatt.glucose import GlucoseMeasurement

_MINUTE_MS: Final = 60_000
_WORTH_MS: Final = 60 * _MINUTE_MS
_AGREES_MS: Final = 5 * _MINUTE_MS
"""How far an inner clock may have gone wrong since the last contact, in ms."""
_OLDEST_MS: Final = 400 * 24 * 60 * _MINUTE_MS
"""How old the newest record may be, in ms. A clock that was reset shows another year."""


class Contact(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of the last contact with a meter."""

    at_ms: int
    """When it was, ms since 1970."""
    ahead_ms: int
    """How far the inner clock was ahead of UTC, as decided, in ms."""
    told_ms: int
    """The same as it followed from the newest record alone."""

    def differs(self, other: "Contact") -> bool:
        """Tell whether *other* is worth a write to the disk, which a meter causes each minute."""
        return (
            abs(other.at_ms - self.at_ms) > _WORTH_MS
            or abs(other.ahead_ms - self.ahead_ms) > _MINUTE_MS
            or abs(other.told_ms - self.told_ms) > _MINUTE_MS
        )


class Decided(msgspec.Struct, frozen=True):
    """How far the inner clock is ahead of UTC."""

    ahead_ms: int
    verdict: ClockVerdict
    is_uncertain: bool
    """Whether the times of records that follow from it may be wrong by hours."""


def decide(
    newest: GlucoseMeasurement,
    *,
    shown_ahead_ms: int,
    before: Contact | None,
    is_new: bool,
    now_ms: int,
) -> Decided:
    """
    Return how far the inner clock is ahead of UTC.

    Args:
        newest: The newest record.

        shown_ahead_ms: How far the owner's clock is ahead of UTC now, in ms.

        before: What is remembered of the last contact.

        is_new: Whether the newest record was made since then.

        now_ms: The time of day, ms since 1970.
    """
    told_ms = shown_ahead_ms - (newest.time_offset_min or 0) * _MINUTE_MS
    if before is None:
        # With an offset the owner's clock was moved at some time, perhaps after this record.
        return Decided(told_ms, ClockVerdict.FIRST, bool(newest.time_offset_min))
    if _agree(told_ms, before.ahead_ms):
        return Decided(told_ms, ClockVerdict.CONFIRMED, is_uncertain=False)
    if is_new and _agree(told_ms, before.told_ms):
        # A record that was made after the owner's clock was moved has another offset.
        return Decided(told_ms, ClockVerdict.RESET, is_uncertain=False)
    base = newest.base_time.as_datetime()
    base_ms = None if base is None else shown_ms(base)

    def is_possible(ahead_ms: int) -> bool:
        if base_ms is None:
            return False
        at_ms = base_ms - ahead_ms
        earliest_ms = before.at_ms - _AGREES_MS if is_new else now_ms - _OLDEST_MS
        return earliest_ms <= at_ms <= now_ms + _AGREES_MS

    if is_possible(before.ahead_ms):
        return Decided(before.ahead_ms, ClockVerdict.MOVED, is_uncertain=False)
    if is_possible(told_ms):
        return Decided(told_ms, ClockVerdict.RESET, is_uncertain=False)
    return Decided(told_ms, ClockVerdict.UNDECIDED, is_uncertain=True)


def _agree(one_ms: int, other_ms: int) -> bool:
    return abs(one_ms - other_ms) <= _AGREES_MS

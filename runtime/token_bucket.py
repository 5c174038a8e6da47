"""A token bucket: how often something may happen, with a burst. Pure: times are passed in."""

from typing import Final

import msgspec

_FULL: Final = 1e-9
"""A token that rounding has left this much short of whole is whole."""


class TokenBucket(msgspec.Struct):
    """
    Tokens that are taken one at a time and come back with time. It begins full.

    Args:
        burst: How many it holds.

        per_s: How many come back in a second.

        since_s: The time of the last change, in seconds of a monotonic clock; at first, now.

        left: How many it holds at that time.
    """

    burst: float
    per_s: float
    since_s: float
    left: float = -1.0

    def __post_init__(self) -> None:
        if self.left < 0:
            self.left = self.burst

    def take(self, *, now: float) -> bool:
        """Take one token, if there is one; tell whether. A clock that goes back gives none."""
        self.left = min(self.burst, self._left_at(now))
        self.since_s = now
        is_taken = self.left + _FULL >= 1
        self.left -= is_taken
        return is_taken

    def wait_s(self, *, now: float) -> float:
        """Return in how many seconds there is a token; 0 or less if there is one. Takes none."""
        return (1 - self._left_at(now)) / self.per_s - _FULL

    def _left_at(self, now: float) -> float:
        return self.left + max(0.0, now - self.since_s) * self.per_s

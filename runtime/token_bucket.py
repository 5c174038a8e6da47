"""A token bucket, which limits a rate and allows a burst. Pure: times are passed in."""

from typing import Final

import msgspec

_FULL: Final = 1e-9
"""Tolerance for rounding errors: a token that lacks less than this counts as whole."""


class TokenBucket(msgspec.Struct):
    """
    Tokens that are taken one at a time and return at a constant rate. The bucket starts full.

    Args:
        burst: Capacity.

        per_s: Tokens that return in a second.

        since_s: Time of the last change, s of a monotonic clock; at the start, the present time.

        left: Tokens at that time.
    """

    burst: float
    per_s: float
    since_s: float
    left: float = -1.0

    def __post_init__(self) -> None:
        if self.left < 0:
            self.left = self.burst

    def take(self, *, now: float) -> bool:
        """Take a token if there is one; return whether. A clock that goes back adds none."""
        self.left = min(self.burst, self._left_at(now))
        self.since_s = now
        is_taken = self.left + _FULL >= 1
        self.left -= is_taken
        return is_taken

    def wait_s(self, *, now: float) -> float:
        """Return the time until there is a token, s; 0 or less if there is one now."""
        return (1 - self._left_at(now)) / self.per_s - _FULL

    def _left_at(self, now: float) -> float:
        return self.left + max(0.0, now - self.since_s) * self.per_s

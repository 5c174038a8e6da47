"""Limits how many values a sensor may send. Pure."""

from typing import Final

from runtime.token_bucket import TokenBucket

PER_S: Final = 32.0
"""Values a second: a strap sends one, an oximeter without a waveform a few."""
BURST: Final = 256.0
PATIENCE: Final = 2000
"""After this many dropped values the sensor is disconnected: each one costs processor time."""


class FlowLimit:
    """
    A token bucket for the values of one sensor.

    Args:
        now: In seconds of a monotonic clock.
    """

    def __init__(self, *, now: float) -> None:
        self._bucket = TokenBucket(burst=BURST, per_s=PER_S, since_s=now)
        self.excess = 0
        """How many values came without a token."""

    def allows(self, *, now: float) -> bool:
        """Take a token; return False if there is none."""
        is_allowed = self._bucket.take(now=now)
        self.excess += not is_allowed
        return is_allowed

    @property
    def is_flooded(self) -> bool:
        """Whether so much was dropped that the sensor must be disconnected."""
        return self.excess >= PATIENCE

"""How much a sensor may send. Pure."""

from typing import Final

from runtime.token_bucket import TokenBucket

PER_S: Final = 32.0
"""Heart rate comes once a second, a waveform-less oximeter a few times: no more is needed."""
BURST: Final = 256.0
PATIENCE: Final = 2000
"""So many beyond it, and the sensor is left alone for a while: each costs the host's time too."""


class FlowLimit:
    """
    A bucket of permissions to send, which fills with time.

    Args:
        now: The time, in seconds of a monotonic clock.
    """

    def __init__(self, *, now: float) -> None:
        self._bucket = TokenBucket(burst=BURST, per_s=PER_S, since_s=now)
        self.excess = 0
        """How many came for which there was none."""

    def allows(self, *, now: float) -> bool:
        """Take one, if there is one; tell whether."""
        is_allowed = self._bucket.take(now=now)
        self.excess += not is_allowed
        return is_allowed

    @property
    def is_flooded(self) -> bool:
        """Whether patience is at an end."""
        return self.excess >= PATIENCE

"""How much a sensor may send. Pure."""

from typing import Final

PER_S: Final = 32.0
"""Heart rate comes once a second, a waveform-less oximeter a few times: no more is needed."""
BURST: Final = 256.0
PATIENCE: Final = 2000
"""So many beyond it, and the sensor is left alone for a while: each costs the host's time too."""


class Meter:
    """
    A bucket of permissions to send, which fills with time.

    Args:
        now: The time, in seconds of a monotonic clock.
    """

    def __init__(self, *, now: float) -> None:
        self._level = BURST
        self._at = now
        self.excess = 0
        """How many came for which there was none."""

    def allows(self, *, now: float) -> bool:
        """Take one, if there is one; tell whether."""
        self._level = min(BURST, self._level + (now - self._at) * PER_S)
        self._at = now
        if self._level < 1:
            self.excess += 1
            return False
        self._level -= 1
        return True

    @property
    def is_flooded(self) -> bool:
        """Whether patience is at an end."""
        return self.excess >= PATIENCE

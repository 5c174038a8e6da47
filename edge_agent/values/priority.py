"""
The priority of observations when the spool is full: heart rate is evicted first, glucose last.

It rates the loss of an observation. A heart rate follows within a second; a glucose value is taken
a few times a day, and treatment depends on it.
"""

import enum
from typing import Final

from wire.quantities import BY_NAME


class Priority(enum.IntEnum):
    """The lowest is evicted first."""

    STREAMED = 1
    """Another one follows at once."""
    SINGLE = 2
    """Taken from time to time."""
    TREATMENT = 3
    """Taken from time to time, and treatment depends on it: made durable at once."""


_STREAMED: Final = ("heart_rate", "rr_interval", "pulse_rate", "energy_expended", "battery_level")
_TREATMENT: Final = ("glucose_capillary", "glucose_interstitial")

_WORTHS: Final[dict[int, Priority]] = {
    int(BY_NAME[name].code): worth
    for names, worth in ((_STREAMED, Priority.STREAMED), (_TREATMENT, Priority.TREATMENT))
    for name in names
}


def priority_of(quantity: int) -> Priority:
    """Return the priority of observations of *quantity*."""
    return _WORTHS.get(quantity, Priority.SINGLE)

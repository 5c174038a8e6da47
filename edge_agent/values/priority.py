"""
What an observation is worth when not everything can stay: heart rate goes first, glucose last.

Not a judgement of the person but of the loss. A heart rate comes again within the second; a
glucose is taken a few times a day, and treatment hangs on it.
"""

import enum
from typing import Final

from wire.quantities import BY_NAME


class Priority(enum.IntEnum):
    """What goes first has the lowest."""

    STREAMED = 1
    """Comes again at once."""
    SINGLE = 2
    """Taken now and then."""
    TREATMENT = 3
    """Taken now and then, and treatment hangs on it: made durable at once."""


_STREAMED: Final = ("heart_rate", "rr_interval", "pulse_rate", "energy_expended", "battery_level")
_TREATMENT: Final = ("glucose_capillary", "glucose_interstitial")

_WORTHS: Final[dict[int, Priority]] = {
    int(BY_NAME[name].code): worth
    for names, worth in ((_STREAMED, Priority.STREAMED), (_TREATMENT, Priority.TREATMENT))
    for name in names
}


def priority_of(quantity: int) -> Priority:
    """Return what observations of *quantity* are worth."""
    return _WORTHS.get(quantity, Priority.SINGLE)

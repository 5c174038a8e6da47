"""Sample type and location, the two halves of an octet, for glucose meters and CGM sensors."""

import enum
from typing import Final

from wire.quantities import Code
from wire.refusals import Refusal


class SampleType(enum.IntEnum):
    """What was measured."""

    CAPILLARY_WHOLE_BLOOD = 1
    CAPILLARY_PLASMA = 2
    VENOUS_WHOLE_BLOOD = 3
    VENOUS_PLASMA = 4
    ARTERIAL_WHOLE_BLOOD = 5
    ARTERIAL_PLASMA = 6
    UNDETERMINED_WHOLE_BLOOD = 7
    UNDETERMINED_PLASMA = 8
    INTERSTITIAL_FLUID = 9
    CONTROL_SOLUTION = 10


class SampleLocation(enum.IntEnum):
    """Where it was taken from."""

    FINGER = 1
    ALTERNATE_SITE = 2
    EARLOBE = 3
    CONTROL_SOLUTION = 4
    SUBCUTANEOUS_TISSUE = 5
    """In CGM only."""
    NOT_AVAILABLE = 15


# With a strip, a patient measures blood from a finger, even if the meter calls it undetermined, as
# the most widespread meter does.
_QUANTITIES: Final[dict[int, Code]] = {
    SampleType.CAPILLARY_WHOLE_BLOOD: Code.GLUCOSE_CAPILLARY,
    SampleType.CAPILLARY_PLASMA: Code.GLUCOSE_CAPILLARY,
    SampleType.UNDETERMINED_WHOLE_BLOOD: Code.GLUCOSE_CAPILLARY,
    SampleType.UNDETERMINED_PLASMA: Code.GLUCOSE_CAPILLARY,
    SampleType.INTERSTITIAL_FLUID: Code.GLUCOSE_INTERSTITIAL,
}


def judge_specimen(sample_type: int, location: int) -> tuple[Code, Refusal | None]:
    """Return the quantity of a meter's record, and a refusal if the specimen is not supported."""
    if sample_type == SampleType.CONTROL_SOLUTION or location == SampleLocation.CONTROL_SOLUTION:
        return Code.GLUCOSE_CAPILLARY, Refusal.CONTROL_SOLUTION
    quantity = _QUANTITIES.get(sample_type)
    if quantity is None:
        return Code.GLUCOSE_CAPILLARY, Refusal.OTHER_SPECIMEN
    return quantity, None

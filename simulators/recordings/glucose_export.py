"""What the glucose exports of two vendors share: units, limits and clocks."""

from typing import Final

from simulators.recordings.fields import number
from simulators.recordings.sample import Sample, SampleFault
from wire.quantities import glucose_from_mg_dl

_OUT_OF_RANGE: Final = frozenset({"HI", "LO", "HIGH", "LOW"})


def glucose_sample(at_ms: int, text: str, *, in_mg_dl: bool) -> Sample | None:
    """
    Return the sample for *text*, or None if it is neither a number nor a limit.

    "High" and "Low" mean that the value is beyond the range of the sensor. 0 means that the sensor
    has no value; it is never a concentration.
    """
    if text.strip().upper() in _OUT_OF_RANGE:
        return Sample(at_ms, "glucose_interstitial", None, SampleFault.SATURATED)
    value = number(text)
    if value is None or value < 0:
        return None
    if value == 0:
        return Sample(at_ms, "glucose_interstitial", None, SampleFault.SENSOR_FAULT)
    mmol_l = glucose_from_mg_dl(value) if in_mg_dl else value
    return Sample(at_ms, "glucose_interstitial", round(mmol_l, 4))

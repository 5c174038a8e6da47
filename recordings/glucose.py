"""What glucose exports share: units, codes for values beyond the range, plausible values."""

from typing import Final

from recordings.parsing.fields import Decimals
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason
from wire.quantities import BY_NAME, glucose_from_mg_dl

INTERSTITIAL: Final = "glucose_interstitial"
CAPILLARY: Final = "glucose_capillary"
_OUT_OF_RANGE: Final = frozenset(
    {"hi", "lo", "high", "low", "hoch", "niedrig", "tief", "élevé", "eleve", "haut", "bas"}
)


def is_beyond_range(text: str) -> bool:
    """Tell whether *text* says that a value is below or above what the sensor measures."""
    return text.strip().casefold() in _OUT_OF_RANGE


def sample_of(
    at_ms: int, value: float, unit: str, *, quantity: str = INTERSTITIAL
) -> Sample | Reason:
    """
    Return the sample for *value* in *unit* ("mg/dL" or "mmol/L"), or why there is none.

    0 means that the sensor has no value; it is never a concentration.
    """
    if value == 0:
        return Sample(at_ms, quantity, None, SampleFault.SENSOR_FAULT)
    mmol_l = glucose_from_mg_dl(value) if unit == "mg/dL" else value
    range_of = BY_NAME[quantity]
    if not range_of.is_plausible(range_of.to_steps(mmol_l)):
        return Reason.IMPLAUSIBLE
    return Sample(at_ms, quantity, round(mmol_l, 4))


def number_of(value: object) -> float | Reason:
    """Return *value* of a JSON document as a number that is not negative, or why it is none."""
    if value is None:
        return Reason.NO_VALUE
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        return Reason.BAD_NUMBER
    return float(value)


class GlucoseColumn:
    """
    The values of one column.

    Args:
        unit: "mg/dL" or "mmol/L".

        decimals: Of the file.

        quantity: What the column holds.

        low_and_high: Whole numbers that mean below and above the range, in mg/dL.
    """

    def __init__(
        self,
        unit: str,
        decimals: Decimals,
        *,
        quantity: str = INTERSTITIAL,
        low_and_high: frozenset[int] = frozenset(),
    ) -> None:
        self._unit = unit
        self._decimals = decimals
        self._quantity = quantity
        self._limits = low_and_high if unit == "mg/dL" else frozenset()

    def read(self, at_ms: int, text: str, tally: ParseTally, line: int) -> Sample | None:
        """Return the sample for *text*; count it in *tally* if it is refused."""
        found = self._found(at_ms, text)
        if isinstance(found, Reason):
            tally.reject(found, line)
            return None
        return found

    def _found(self, at_ms: int, text: str) -> Sample | Reason:
        if is_beyond_range(text):
            return Sample(at_ms, self._quantity, None, SampleFault.SATURATED)
        if not text.strip():
            return Reason.NO_VALUE
        if self._decimals.has_other_sign(text):
            return Reason.MIXED_DECIMAL_SIGN
        value = self._decimals.read(text)
        if value is None or value < 0:
            return Reason.BAD_NUMBER
        if value in self._limits:
            return Sample(at_ms, self._quantity, None, SampleFault.SATURATED)
        return sample_of(at_ms, value, self._unit, quantity=self._quantity)

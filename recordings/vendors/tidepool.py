"""
Tidepool: the export of an account as JSON.

`cbg` is a sensor's value, `smbg` a meter's; each names its unit. A value beyond the range of the
device stands at its limit, with the annotation `bg/out-of-range`. Times are instants; the local
device time beside them is not used. Insulin, food and settings are passed over.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from recordings.glucose import CAPILLARY, INTERSTITIAL, number_of, sample_of
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.instants import instant_ms
from recordings.parsing.json_stream import elements
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason, in_order

KIND: Final = "tidepool"
_KNOWN: Final = re.compile(
    r'"type"\s*:\s*"(?:cbg|smbg|basal|bolus|wizard|upload|pumpSettings|food|deviceEvent'
    r'|physicalActivity|cgmSettings|bloodKetone|dosingDecision|controllerStatus)"'
)
_QUANTITIES: Final = {"cbg": INTERSTITIAL, "smbg": CAPILLARY}
_UNITS: Final = {"mg/dl": "mg/dL", "mmol/l": "mmol/L"}


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is an export of Tidepool."""
    return (
        head.lstrip().startswith("[")
        and _KNOWN.search(head) is not None
        and '"time"' in head
        and any(name in head for name in ('"uploadId"', '"deviceId"'))
    )


def parse(
    chunks: Iterable[bytes], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the samples of an export in the order of time; count each reading in *tally*.

    Raises:
        FileRefused: The file is not an array of JSON, or too large.
    """
    tally.zone = "UTC"
    found: list[Sample] = []
    for place, datum in enumerate(elements(chunks), start=1):
        kind = datum.get("type") if isinstance(datum, dict) else None
        if not isinstance(kind, str) or kind not in _QUANTITIES:
            tally.passed_over += 1
            continue
        tally.row()
        sample = _sample(datum, _QUANTITIES[kind], tally)
        if isinstance(sample, Reason):
            tally.reject(sample, place)
        else:
            found.append(sample)
    return in_order(found, tally)


def _sample(datum: dict[str, Any], quantity: str, tally: ParseTally) -> Sample | Reason:
    said = datum.get("units")
    unit = _UNITS.get(said.strip().lower()) if isinstance(said, str) else None
    if unit is None:
        return Reason.UNIT_NOT_SAID
    tally.say_unit(unit)
    at_ms = instant_ms(datum.get("time"))
    if at_ms is None:
        return Reason.BAD_TIME
    if _is_out_of_range(datum.get("annotations")):
        return Sample(at_ms, quantity, None, SampleFault.SATURATED)
    value = number_of(datum.get("value"))
    return value if isinstance(value, Reason) else sample_of(at_ms, value, unit, quantity=quantity)


def _is_out_of_range(annotations: Any) -> bool:
    if isinstance(annotations, str):  # Some exports write JSON in a string.
        try:
            annotations = json.loads(annotations)
        except (ValueError, RecursionError):
            return False
    return isinstance(annotations, list) and any(
        isinstance(one, dict) and one.get("code") == "bg/out-of-range" for one in annotations
    )

"""
Nightscout: entries as JSON, from a backup or from API v1 or v3.

An entry of type `sgv` is a sensor's value, one of type `mbg` a meter's. Nightscout stores mg/dL;
API v3 may name the unit in each entry. Sensors hand on codes: below 13 mg/dL an error, 39 below
and 401 above the range. Calibrations and what an uploader adds are passed over.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from recordings.glucose import CAPILLARY, INTERSTITIAL, number_of, sample_of
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.instants import epoch_ms, instant_ms
from recordings.parsing.json_stream import elements
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason, in_order
from recordings.vendors.dexcom import LOW_AND_HIGH

KIND: Final = "nightscout"
_ENTRY: Final = re.compile(r'"(?:sgv|mbg)"\s*:\s*["\d]')
_DATE: Final = re.compile(r'"(?:date|dateString|mills)"\s*:')
_QUANTITIES: Final = {"sgv": INTERSTITIAL, "mbg": CAPILLARY}
_UNITS: Final = {
    "mg": "mg/dL",
    "mgdl": "mg/dL",
    "mg/dl": "mg/dL",
    "mmol": "mmol/L",
    "mmol/l": "mmol/L",
}
_LAST_ERROR_CODE: Final = 12


def matches(_name: str, head: str) -> bool:
    """Tell whether a file holds entries of Nightscout."""
    return head.lstrip()[:1] in ("[", "{") and bool(_ENTRY.search(head) and _DATE.search(head))


def parse(
    chunks: Iterable[bytes], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the samples of the entries in the order of time; count each entry in *tally*.

    Raises:
        FileRefused: The file is not an array of JSON, or too large.
    """
    tally.zone = "UTC"
    found: list[Sample] = []
    for place, entry in enumerate(elements(chunks), start=1):
        kind = _kind_of(entry)
        if kind is None:
            tally.passed_over += 1
            continue
        tally.row()
        sample = _sample(entry, kind, tally)
        if isinstance(sample, Reason):
            tally.reject(sample, place)
        else:
            found.append(sample)
    return in_order(found, tally)


def _kind_of(entry: Any) -> str | None:
    """Return which value *entry* holds, "sgv" or "mbg", or None."""
    if not isinstance(entry, dict):
        return None
    said = entry.get("type")
    if said is not None:
        return said if isinstance(said, str) and said in _QUANTITIES else None
    return next((kind for kind in _QUANTITIES if kind in entry), None)


def _sample(entry: dict[str, Any], kind: str, tally: ParseTally) -> Sample | Reason:
    unit = _unit_of(entry)
    if unit is None:
        return Reason.UNIT_NOT_SAID
    tally.say_unit(unit)
    at_ms = _moment(entry)
    if at_ms is None:
        return Reason.BAD_TIME
    value = number_of(entry.get(kind))
    return value if isinstance(value, Reason) else _reading(at_ms, value, kind, unit)


def _reading(at_ms: int, value: float, kind: str, unit: str) -> Sample | Reason:
    quantity = _QUANTITIES[kind]
    if unit == "mg/dL" and kind == "sgv":
        if value.is_integer() and value <= _LAST_ERROR_CODE:
            return Sample(at_ms, quantity, None, SampleFault.SENSOR_FAULT)
        if value in LOW_AND_HIGH:
            return Sample(at_ms, quantity, None, SampleFault.SATURATED)
    return sample_of(at_ms, value, unit, quantity=quantity)


def _unit_of(entry: dict[str, Any]) -> str | None:
    said = entry.get("units")
    if said is None:
        return "mg/dL"
    return _UNITS.get(said.strip().lower()) if isinstance(said, str) else None


def _moment(entry: dict[str, Any]) -> int | None:
    said = entry.get("date", entry.get("mills"))
    if isinstance(said, str):
        return instant_ms(said)
    return epoch_ms(said) if said is not None else instant_ms(entry.get("dateString"))

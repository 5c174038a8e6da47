"""
HL7's profiles of vital signs (FHIR R4, 4.0.1), as far as they constrain the export.

Each rule names its element in the profile's differential, so that a reader finds it in
https://hl7.org/fhir/R4/vitalsigns.html and in the pages of the other profiles. Cardinalities,
fixed values, slices and required bindings are checked; other bindings cannot be violated.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

Json = dict[str, Any]

CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
STATUS: Final = {
    "registered", "preliminary", "final", "amended",
    "corrected", "cancelled", "entered-in-error", "unknown",
}  # fmt: skip
"""ValueSet observation-status, required."""
UCUM_VITALS: Final = {
    "%", "cm", "[in_i]", "kg", "g", "[lb_av]", "Cel", "[degF]", "mm[Hg]", "/min", "kg/m2", "m2",
}  # fmt: skip
"""ValueSet ucum-vitals-common, required for values of components."""


class Profile(msgspec.Struct, frozen=True):
    """The code that a profile requires, and the units that it allows."""

    code: str
    units: frozenset[str]


PROFILES: Final = {
    "heartrate": Profile("8867-4", frozenset({"/min"})),
    "oxygensat": Profile("2708-6", frozenset({"%"})),
    "bodytemp": Profile("8310-5", frozenset({"Cel", "[degF]"})),
    "bodyweight": Profile("29463-7", frozenset({"g", "kg", "[lb_av]"})),
    "bp": Profile("85354-9", frozenset()),
}
MAGIC_CODES: Final = {profile.code: name for name, profile in PROFILES.items()} | {
    # If one of these is sent alone, R4 requires the profile of the general code beside it.
    "59408-5": "oxygensat", "8889-8": "heartrate", "8480-6": "bp", "8462-4": "bp", "8478-0": "bp",
}  # fmt: skip


def problems(observation: Json) -> list[str]:
    """Return the elements of its profiles that *observation* violates; none without a profile."""
    codes = _codes(observation.get("code", {}), LOINC)
    names = {MAGIC_CODES[code] for code in codes if code in MAGIC_CODES}
    found = [problem for name in sorted(names) for problem in _broken(observation, name)]
    claimed = {url.rpartition("/")[2] for url in observation.get("meta", {}).get("profile", [])}
    if claimed != names:
        found.append("meta.profile")
    return found


def _broken(observation: Json, name: str) -> Iterator[str]:
    yield from (path for path, holds in VITAL_SIGNS.items() if not holds(observation))
    profile = PROFILES[name]
    if [c for c in _codes(observation["code"], LOINC) if c == profile.code] != [profile.code]:
        yield f"{name}: Observation.code.coding"
    if name == "bp":
        yield from (path for path, holds in BLOOD_PRESSURE.items() if not holds(observation))
    elif "valueQuantity" in observation:
        if not _is_quantity(observation["valueQuantity"], profile.units):
            yield f"{name}: Observation.valueQuantity"
    elif "dataAbsentReason" not in observation:
        yield "vs-2"


def _codes(concept: Json, system: str) -> list[str]:
    return [c.get("code", "") for c in concept.get("coding", []) if c.get("system") == system]


def _is_quantity(quantity: Json, units: frozenset[str] | set[str]) -> bool:
    is_number = isinstance(quantity.get("value"), (int, float))
    named = bool(quantity.get("unit")) and quantity.get("system") == UCUM
    return is_number and named and quantity.get("code") in units


def _has_value_or_reason(one: Json) -> bool:
    return ("valueQuantity" in one) is not ("dataAbsentReason" in one)


def _categories(observation: Json) -> list[str]:
    return [code for one in observation.get("category", []) for code in _codes(one, CATEGORY)]


def _components(observation: Json, code: str) -> list[Json]:
    return [c for c in observation.get("component", []) if code in _codes(c["code"], LOINC)]


VITAL_SIGNS: Final[dict[str, Callable[[Json], bool]]] = {
    "Observation.status": lambda o: o.get("status") in STATUS,
    "Observation.category:VSCat": lambda o: _categories(o).count("vital-signs") == 1,
    "Observation.code": lambda o: bool(o.get("code", {}).get("coding")),
    "Observation.subject": lambda o: bool(o.get("subject", {}).get("reference")),
    "Observation.effective[x], vs-1": lambda o: len(o.get("effectiveDateTime", "")) >= 8,
    "vs-2": lambda o: bool(o.get("component")) or _has_value_or_reason(o),
    "vs-3": lambda o: all(map(_has_value_or_reason, o.get("component", []))),
    "Observation.component.value[x]": lambda o: all(
        _is_quantity(c["valueQuantity"], UCUM_VITALS)
        for c in o.get("component", [])
        if "valueQuantity" in c
    ),
}
"""The rules of the profile vitalsigns, which the others build on."""

BLOOD_PRESSURE: Final[dict[str, Callable[[Json], bool]]] = {
    "bp: Observation.valueQuantity": lambda o: "valueQuantity" not in o,
    "bp: Observation.component": lambda o: len(o.get("component", [])) >= 2,
    "bp: Observation.component:SystolicBP": lambda o: _is_pressure(o, "8480-6"),
    "bp: Observation.component:DiastolicBP": lambda o: _is_pressure(o, "8462-4"),
}


def _is_pressure(observation: Json, code: str) -> bool:
    found = _components(observation, code)
    return len(found) == 1 and (
        "valueQuantity" not in found[0] or _is_quantity(found[0]["valueQuantity"], {"mm[Hg]"})
    )

"""
Blood pressure: brings together what a cuff measured at once, and the store keeps as two or three.

Standards describe one blood pressure and not its parts: HL7's profile `bp`, Open mHealth's
`blood-pressure`.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from formats.observed import Observed
from wire.quantities import Code

PARTS: Final = frozenset(
    {Code.BLOOD_PRESSURE_SYSTOLIC, Code.BLOOD_PRESSURE_DIASTOLIC, Code.BLOOD_PRESSURE_MEAN}
)
"""The quantities that are measured together."""


class BloodPressure(msgspec.Struct, frozen=True):
    """Systolic, diastolic and mean pressure of one moment, each at most once and at least one."""

    parts: tuple[Observed, ...]

    @property
    def time(self) -> str:
        """The time of measurement in RFC 3339, in UTC, to the millisecond."""
        return self.parts[0].time

    @property
    def flags(self) -> int:
        """The marks that any part has."""
        found = 0
        for part in self.parts:
            found |= part.flags
        return found

    def part(self, code: Code) -> Observed | None:
        """Return the part with the quantity *code*; None if it was not measured."""
        return next((part for part in self.parts if part.quantity.code == code), None)

    def __repr__(self) -> str:
        return "BloodPressure(…)"


def joined(observed: Iterable[Observed]) -> Iterator[Observed | BloodPressure]:
    """
    Yield *observed*, with the parts of each blood pressure as one.

    The parts of one must be neighbours, as the store returns them. Where two cuffs measured in the
    same moment, nothing tells which parts belong together: each part is then alone.
    """
    for moment, group in itertools.groupby(observed, key=_moment):
        if moment is None:
            yield from group
            continue
        parts = tuple(group)
        if len({part.quantity.code for part in parts}) == len(parts):
            yield BloodPressure(parts)
        else:
            yield from (BloodPressure((part,)) for part in parts)


def _moment(one: Observed) -> tuple[str, object] | None:
    return (one.purpose, one.at) if one.quantity.code in PARTS else None

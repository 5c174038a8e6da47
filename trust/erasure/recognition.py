"""
Recognition: which names, series and rows in the databases belong to an erased person.

The module is pure: it receives names and rows, and returns what came back of each erasure.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final
from uuid import UUID

import msgspec

from trust.domain.erasure_steps import ErasedAgain
from trust.telemetry.erasure import Name
from trust.vault.records.erasures import Mark, Tombstones

_ROWS: Final = "rows of observations or aggregates"
Scope = tuple[UUID, str]
"""The id of a subject, and the name of a purpose."""


class Returned(msgspec.Struct):
    """The data of one erasure that came back."""

    series: set[int]
    """Series whose pseudonym was erased."""
    handles: set[bytes]
    """Erased handles that permissions name."""
    agents: set[str]
    rows: dict[str, set[int]]
    """By table: erased series that have rows there and that no name leads to."""
    vault_handles: set[bytes]
    has_identity: bool = False
    """Whether the data key of the subject exists again."""
    is_remembered: bool = False
    """Whether the planner's statistics hold an erased name."""

    def __repr__(self) -> str:
        return "Returned(…)"

    def is_rows_alone(self) -> bool:
        """Return whether only rows without a name came back."""
        return self.where() == [_ROWS]

    def where(self) -> list[str]:
        """Return descriptions of the places where data came back."""
        found = {
            "names": bool(self.series or self.handles),
            _ROWS: bool(self.rows),
            "statistics": self.is_remembered,
            "vault handles": bool(self.vault_handles),
            "vault identity": self.has_identity,
        }
        return [name for name, is_there in found.items() if is_there]


class Recognition:
    """
    Recognises the data of erasures by their tombstones and series numbers.

    Args:
        marks: The erasures to look for.

        tombstones: Computes tombstones with the key that made those of the erasures.

        handles: The subject and purpose of every handle in the vault.
    """

    def __init__(
        self, marks: Sequence[Mark], tombstones: Tombstones, handles: Mapping[bytes, Scope]
    ) -> None:
        self._tombstones = tombstones
        self._marks = marks
        self._by_tombstone: dict[str, list[int]] = {}
        for place, mark in enumerate(marks):
            for tombstone in mark.facts.tombstones:
                self._by_tombstone.setdefault(tombstone, []).append(place)
        self._back: dict[int, Returned] = {}
        self._back_by_series: dict[int, Returned] = {}
        erased = {h for h in handles if tombstones.of(h) in self._by_tombstone}
        # A person may agree again after a purpose was erased: they get a new handle, and their
        # earlier pseudonym with new series.
        self._renewed = {scope for handle, scope in handles.items() if handle not in erased}
        for handle in erased:
            for mark in self._erasures(handle):
                self._of(mark).vault_handles.add(handle)

    def found(self) -> dict[int, Returned]:
        """Return the data that came back, by the number of the erasure."""
        return self._back

    def names(self, names: Iterable[Name]) -> None:
        """Recognise *names* of the telemetry database: pseudonyms first, then handles."""
        for name in names:
            if name.agent is not None and name.series in self._back_by_series:
                # A new permission for an erased series: it is deleted, and then given again.
                self._back_by_series[name.series].agents.add(name.agent)
            for mark in self._erasures(name.value):
                if name.agent is not None:
                    back = self._of(mark)
                    back.handles.add(name.value)
                    back.agents.add(name.agent)
                elif name.series in mark.facts.series or not self._is_renewed(mark):
                    back = self._of(mark)
                    back.series.add(name.series)
                    self._back_by_series[name.series] = back

    def remembered(self, values: Iterable[bytes]) -> None:
        """Recognise *values* of the planner's statistics."""
        for value in values:
            for mark in self._erasures(value):
                if not self._is_renewed(mark):
                    self._of(mark).is_remembered = True

    def rows(self, place: str, unknown: Iterable[int]) -> set[int]:
        """
        Recognise series with rows in the table *place* to which no name leads.

        Args:
            place: The qualified name of the table.

            unknown: The numbers of the series.

        Returns:
            The series that belong to no erasure: their names may still be restored.
        """
        left = set(unknown)
        for mark in self._marks:
            if ours := left.intersection(mark.facts.series):
                self._of(mark).rows.setdefault(place, set()).update(ours)
                left -= ours
        return left

    def identities(self, numbers: Iterable[int]) -> None:
        """Note that the data keys of the subjects of the erasures *numbers* exist again."""
        wanted = set(numbers)
        for mark in self._marks:
            if mark.erasure.number in wanted:
                self._of(mark).has_identity = True

    def _erasures(self, value: bytes) -> list[Mark]:
        return [self._marks[n] for n in self._by_tombstone.get(self._tombstones.of(value), ())]

    def _is_renewed(self, mark: Mark) -> bool:
        purpose = mark.erasure.purpose
        return purpose is not None and (mark.erasure.subject, purpose) in self._renewed

    def _of(self, mark: Mark) -> Returned:
        empty = Returned(series=set(), handles=set(), agents=set(), rows={}, vault_handles=set())
        return self._back.setdefault(mark.erasure.number, empty)


def facts_of(back: Returned, relations: Set[str]) -> ErasedAgain:
    """Return the facts of *back* for the ledger: series numbers and tables, but no name."""
    return ErasedAgain(
        where=back.where(),
        series=sorted({*back.series, *(n for found in back.rows.values() for n in found)}),
        relations=sorted({*relations, *back.rows}),
        handles=len(back.handles) + len(back.vault_handles),
    )

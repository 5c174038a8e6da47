"""
Observations as an erasure sees them, in memory: rows by series, and pseudonyms that lead
there.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tests.fakes.telemetry import MemoryPermissions
from trust.domain.erasure_steps import Rewritten
from trust.erasure.physical_rewrite import PhysicalRewrite
from trust.telemetry.erasure import FoundRows, Name, Stores, Table

_TABLE = "vv.observations"


class MemoryStores(Stores):
    """
    The rows of each series, and the names that lead to them.

    Args:
        permissions: The permissions of the same database.
    """

    def __init__(self, permissions: MemoryPermissions) -> None:
        self.rows: Counter[int] = Counter()
        """The number of rows of each series."""
        self.known: list[Name] = []
        self.seen: set[int] = set()
        """The numbers of the erasures that the database has seen."""
        self.restricted: set[bytes] = set()
        """Pseudonyms whose series are excluded from all views."""
        self._permissions = permissions

    def measure(self, agent: str, *, rows: int) -> None:
        """Store *rows* under each permission of *agent*."""
        for permission in self._permissions.permitted[agent]:
            series = 1 + len(self.rows)
            self.rows[series] += rows
            self.known.append(Name(permission.pseudonym.value, series))
            self.known.append(Name(permission.handle, series, agent))

    def find(self, *, pseudonyms: Sequence[bytes], handles: Sequence[bytes]) -> FoundRows:
        asked = {*pseudonyms, *handles}
        series = {name.series for name in self.known if name.value in asked}
        leading = [name for name in self.known if name.series in series]
        return FoundRows(
            sorted(series),
            sorted({*asked, *(name.value for name in leading)}),
            {"observations": sum(self.rows[one] for one in series)},
            self.relations(sorted(series)),
            sorted({name.agent for name in leading if name.agent is not None}),
        )

    def permitting(self, *, pseudonyms: Sequence[bytes], handles: Sequence[bytes]) -> list[str]:
        asked = {*pseudonyms, *handles}
        return sorted(
            agent
            for agent, permitted in self._permissions.permitted.items()
            if any({one.handle, one.pseudonym.value} & asked for one in permitted)
        )

    def relations(self, series: Sequence[int]) -> list[str]:
        return [_TABLE] if any(self.rows[one] for one in series) else []

    def erase_rows(self, series: Sequence[int]) -> None:
        for one in series:
            self.rows[one] = 0

    def erase_names(
        self,
        series: Sequence[int],
        *,
        agents: Sequence[str],
        numbers: Sequence[int],
        handles: Sequence[bytes] = (),
    ) -> dict[str, int]:
        before = len(self.known)
        self.known = [
            name for name in self.known if name.series not in series and name.value not in handles
        ]
        self.seen.update(numbers)
        return {"names": before - len(self.known)}

    def restrict(self, pseudonyms: Sequence[bytes], *, is_restricted: bool) -> int:
        if is_restricted:
            self.restricted.update(pseudonyms)
        else:
            self.restricted.difference_update(pseudonyms)
        return len({name.series for name in self.known if name.value in pseudonyms})

    def tables(self) -> list[Table]:
        return [Table(_TABLE, 1, 1, is_ours=True, is_attached=True)]

    def unknown_series(self, place: str) -> list[int]:
        known = {name.series for name in self.known}
        return [series for series, rows in self.rows.items() if rows and series not in known]

    def erase_unattached(self, series: Sequence[int]) -> list[str]:
        return []

    def names(self) -> Iterator[Name]:
        yield from sorted(self.known, key=lambda name: name.agent is not None)

    def remembered(self) -> list[bytes]:
        return []


class MemoryRewrite(PhysicalRewrite):
    """A rewrite by the owners of both databases that takes effect at once."""

    def __init__(self) -> None:
        self.rewritten: list[str] = []
        self.before_sweep: Callable[[], None] = lambda: None

    def sweep(self, relations: Sequence[str]) -> dict[str, Rewritten]:
        self.before_sweep()
        self.rewritten += relations
        looked = Rewritten(list(relations), "1", "2026-03-01T00:00:00Z", 0, 0, 0, 0, 0, 0)
        return {"telemetry": looked, "vault": looked}

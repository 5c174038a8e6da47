"""Units of the daemon's work that were set aside, each for a cause of its own."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from trust.domain.units import Failure, SetAside, Work


class SetAsideRegister(Protocol):
    """Units of the daemon's work that were set aside for a cause of their own."""

    def replace(
        self,
        work: Work,
        failures: Mapping[str, Collection[Failure]],
        *,
        tried: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """
        Record *failures* of *work*; what failed before and is not among them is well again.

        Args:
            work: What was done.

            failures: For each gateway or job that was tried, what failed; empty if nothing did.
                What was not tried keeps its record.

            tried: For gateways, the change (`Agent.wanted`) that was tried. A later change does
                not wait for the next attempt.
        """
        ...

    def of_agents(self, work: Work, agents: Sequence[str]) -> dict[str, set[Failure]]:
        """Return what of *work* failed last for *agents*; those without a failure are omitted."""
        ...

    def keeps_lease(self, agents: Sequence[str]) -> bool:
        """Tell whether the broker has an outdated lease of one of *agents*."""
        ...

    def to_retry(self, *, limit: int) -> list[str]:
        """Return gateways of which something failed and is to be reconciled again now."""
        ...

    def to_publish_again(self, *, limit: int) -> list[str]:
        """Return gateways whose lease the broker refused and is to be offered again now."""
        ...

    def all(self, *, limit: int) -> list[SetAside]:
        """Return the units that are set aside, by kind and name."""
        ...

    def hasten(self) -> int:
        """Have everything that is set aside tried again at once; return how many rows."""
        ...

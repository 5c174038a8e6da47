"""Units of the daemon's work that failed and were set aside, each with its cause."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from trust.domain.units import Failure, SetAside, Work


class SetAsideRegister(Protocol):
    """Repository of units of the daemon's work that failed and were set aside."""

    def replace(
        self,
        work: Work,
        failures: Mapping[str, Collection[Failure]],
        *,
        tried: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """
        Record *failures* of *work*; earlier failures that are not among them are deleted.

        Args:
            work: The kind of work.

            failures: The failures of each gateway or job that was tried; empty if it succeeded.
                The records of gateways and jobs that were not tried are kept.

            tried: For gateways, the change (`Agent.wanted`) that was tried. A later change does
                not wait for the next attempt.
        """
        ...

    def of_agents(self, work: Work, agents: Sequence[str]) -> dict[str, set[Failure]]:
        """Return the last failures in *work* of *agents*; agents without a failure are omitted."""
        ...

    def keeps_lease(self, agents: Sequence[str]) -> bool:
        """Tell whether the broker has an outdated lease of one of *agents*."""
        ...

    def to_retry(self, *, limit: int) -> list[str]:
        """Return gateways of which a unit failed and is due for its next attempt."""
        ...

    def to_publish_again(self, *, limit: int) -> list[str]:
        """Return gateways whose lease the broker refused and is due to be published again."""
        ...

    def all(self, *, limit: int) -> list[SetAside]:
        """Return the units that are set aside, by kind and name."""
        ...

    def hasten(self) -> int:
        """Make every unit that is set aside due for its next attempt now; return how many."""
        ...

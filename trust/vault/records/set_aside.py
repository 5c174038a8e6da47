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
        Keep *failures* of *work*; whatever else failed before of what was tried is well now.

        Args:
            work: What was done.

            failures: By what they stand in the way of: each gateway, or job, that was tried, with
                none where all is well.

            tried: Of gateways, up to which change (`Agent.wanted`) that was tried: what is wanted
                later does not wait.
        """
        ...

    def of_agents(self, work: Work, agents: Sequence[str]) -> dict[str, set[Failure]]:
        """Return what of *work* failed last for those of *agents* for which any did."""
        ...

    def keeps_lease(self, agents: Sequence[str]) -> bool:
        """Tell whether one of *agents* has an older lease at the broker than it should."""
        ...

    def to_retry(self, *, limit: int) -> list[str]:
        """Return gateways for which something failed that is to be tried again now."""
        ...

    def to_publish_again(self, *, limit: int) -> list[str]:
        """Return gateways whose lease the broker did not take, and that are to be tried again."""
        ...

    def all(self, *, limit: int) -> list[SetAside]:
        """Return what is set aside, for a list."""
        ...

    def hasten(self) -> int:
        """Have everything that is set aside tried again at once; return how many rows."""
        ...

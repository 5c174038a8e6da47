"""
Finds the lease under way that makes the broker close the connection. Pure.

A lost connection gives no reason. So the leases that were under way are published again one by
one. If the connection is lost with one lease alone, that lease is published once more after all
others. If the others pass and the connection is lost again, that lease is the cause; if no lease
passes, the broker is.
"""

from collections.abc import Iterable
from typing import Final

_ENOUGH: Final = 2


class Suspects:
    """Remembers which agents' leases were under way at a loss, and how often alone."""

    def __init__(self) -> None:
        self._losses: dict[str, int] = {}
        self._has_passed = False

    def connected(self) -> None:
        """Note that a new connection was made."""
        self._has_passed = False

    def lost(self, agents: Iterable[str]) -> None:
        """Note that the connection was lost while the leases of *agents* were under way."""
        found = list(agents)
        for agent in found:
            losses = self._losses.setdefault(agent, 0)
            if len(found) == 1 and (not losses or self._has_passed):
                self._losses[agent] = losses + 1

    def again(self, agents: Iterable[str]) -> None:
        """Suspect *agents* as if each had been alone at a loss before."""
        for agent in agents:
            self._losses.setdefault(agent, 1)

    def passed(self, agents: Iterable[str]) -> None:
        """Note that the broker acknowledged the leases of *agents*."""
        for agent in agents:
            self._has_passed = True
            self._losses.pop(agent, None)

    @property
    def all(self) -> list[str]:
        """The agents whose leases are not published together with others."""
        return sorted(self._losses)

    @property
    def next_alone(self) -> list[str]:
        """The agents whose leases are published alone next."""
        return sorted(agent for agent, losses in self._losses.items() if not losses)

    @property
    def last_alone(self) -> list[str]:
        """The agents whose leases are published alone after everything else."""
        return sorted(agent for agent, losses in self._losses.items() if losses)

    def convicted(self) -> list[str]:
        """Return the agents whose leases make the broker close the connection, and clear them."""
        found = sorted(agent for agent, losses in self._losses.items() if losses >= _ENOUGH)
        for agent in found:
            del self._losses[agent]
        return found

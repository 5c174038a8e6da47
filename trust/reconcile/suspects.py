"""
Suspects: which of the leases under way makes the broker close the connection. Pure.

A connection that is lost says nothing of why. So what was under way is published again one by one;
a lease during which the connection is lost although it was alone is published once more after all
others. When these pass and the connection is lost again, it is that lease's doing; where none
passes, it is the broker's.
"""

from collections.abc import Iterable
from typing import Final

_ENOUGH: Final = 2


class Suspects:
    """Remembers whose lease was under way when a connection was lost, and how often alone."""

    def __init__(self) -> None:
        self._losses: dict[str, int] = {}
        self._has_passed = False

    def connected(self) -> None:
        """Note that there is another connection."""
        self._has_passed = False

    def lost(self, agents: Iterable[str]) -> None:
        """Note that the connection was lost while the leases of *agents* were under way."""
        found = list(agents)
        for agent in found:
            losses = self._losses.setdefault(agent, 0)
            if len(found) == 1 and (not losses or self._has_passed):
                self._losses[agent] = losses + 1

    def again(self, agents: Iterable[str]) -> None:
        """Doubt *agents* as if each had been alone before."""
        for agent in agents:
            self._losses.setdefault(agent, 1)

    def passed(self, agents: Iterable[str]) -> None:
        """Note that the broker answered for *agents*."""
        for agent in agents:
            self._has_passed = True
            self._losses.pop(agent, None)

    @property
    def all(self) -> list[str]:
        """Whose lease is not published together with others."""
        return sorted(self._losses)

    @property
    def next_alone(self) -> list[str]:
        """Whose lease is published alone next."""
        return sorted(agent for agent, losses in self._losses.items() if not losses)

    @property
    def last_alone(self) -> list[str]:
        """Whose lease is published alone once everything else is."""
        return sorted(agent for agent, losses in self._losses.items() if losses)

    def convicted(self) -> list[str]:
        """Return whose lease it is that the broker does not bear, and doubt them no more."""
        found = sorted(agent for agent, losses in self._losses.items() if losses >= _ENOUGH)
        for agent in found:
            del self._losses[agent]
        return found

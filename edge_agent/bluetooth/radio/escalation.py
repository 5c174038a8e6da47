"""What to try next when the radio does not work: pure, the time is passed in."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class Rung(enum.StrEnum):
    """What can be tried, the gentlest first. A closed set: it labels a metric."""

    NEW_CLIENT = "new_client"
    NEW_SCANNER = "new_scanner"
    POWER_CYCLE = "power_cycle"
    RESTART = "restart_bluetoothd"
    EXIT = "exit"


class Trouble(enum.StrEnum):
    """What kind of failure it is, and so how far up it justifies to go."""

    LINK = "link"
    """Sensors are heard and cannot be held."""
    DEAF = "deaf"
    """Nothing is heard at all. It may be a quiet room."""
    STACK = "stack"
    """The host's Bluetooth itself says no, or nothing."""


_LAST: Final[Mapping[Trouble, Rung]] = MappingProxyType(
    {
        Trouble.LINK: Rung.POWER_CYCLE,
        Trouble.DEAF: Rung.POWER_CYCLE,
        Trouble.STACK: Rung.RESTART,
    }
)
_PATIENCE: Final[Mapping[Trouble, int]] = MappingProxyType(
    {Trouble.LINK: 1, Trouble.DEAF: 10, Trouble.STACK: 1}
)
"""How many times longer than others each rung takes: most silence is only silence."""
_ORDER: Final = tuple(Rung)
_SLOWEST: Final = 32
_IDLE_S: Final = 600.0
"""Longer than between any two attempts: who has not failed for so long has not tried."""


class Steps(msgspec.Struct, frozen=True):
    """After how long without success each rung is due, in seconds."""

    new_scanner_s: float = 6.0
    power_cycle_s: float = 15.0
    restart_s: float = 30.0
    exit_s: float = 600.0

    def after(self, rung: Rung) -> float:
        """Return when *rung* is due."""
        return {
            Rung.NEW_CLIENT: 0.0,
            Rung.NEW_SCANNER: self.new_scanner_s,
            Rung.POWER_CYCLE: self.power_cycle_s,
            Rung.RESTART: self.restart_s,
            Rung.EXIT: self.exit_s,
        }[rung]


class Ladder:
    """
    One kind of trouble, and how far up it has driven us.

    Each rung is tried once in a climb. When the highest that the trouble justifies has not helped,
    the climb begins anew, each time at half the pace: a sensor that is broken for good must not
    keep the others' radio restarting.

    Args:
        trouble: What kind.

        steps: How long each rung has to wait.
    """

    def __init__(self, trouble: Trouble, steps: Steps) -> None:
        self._last = _LAST[trouble]
        self._may_exit = trouble is Trouble.STACK
        self._steps = steps
        self._first: float | None = None
        self._failed_at = float("-inf")
        self._since = 0.0
        self._tried = Rung.NEW_CLIENT
        self._usual = _PATIENCE[trouble]
        self._slowness = self._usual

    def worked(self) -> None:
        """Note a success: the next failure starts from the ground."""
        self._first = None
        self._slowness = self._usual

    def failed(self, *, now: float) -> Rung:
        """
        Note a failure, and return what to try before the next attempt.

        Failures in a row climb: the first after hours in which nobody wanted the radio, or the
        machine slept, is none of them.
        """
        is_idle, self._failed_at = now - self._failed_at > _IDLE_S, now
        if self._first is None or is_idle:
            self._first = self._since = now
            self._tried = Rung.NEW_CLIENT
            return Rung.NEW_CLIENT
        if self._may_exit and now - self._first >= self._steps.exit_s:
            return Rung.EXIT
        rung = self._due(now - self._since)
        if rung is Rung.NEW_CLIENT:
            return rung
        self._tried = rung
        if rung is self._last:
            self._since, self._tried = now, Rung.NEW_CLIENT
            self._slowness = min(_SLOWEST * self._usual, self._slowness * 2)
        return rung

    def _due(self, elapsed_s: float) -> Rung:
        """Return the next rung above the one tried last, if it is time; else a new client."""
        following = _ORDER[_ORDER.index(self._tried) + 1]
        is_due = elapsed_s >= self._steps.after(following) * self._slowness
        return following if is_due else Rung.NEW_CLIENT

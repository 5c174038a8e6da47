"""Which recovery action to try next when the radio does not work. Pure: time is an argument."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class Action(enum.StrEnum):
    """The recovery actions, the gentlest first. A closed set: it labels a metric."""

    NEW_CLIENT = "new_client"
    NEW_SCANNER = "new_scanner"
    POWER_CYCLE = "power_cycle"
    RESTART = "restart_bluetoothd"
    EXIT = "exit"


class FailureKind(enum.StrEnum):
    """The kind of a failure, which limits how drastic an action may be."""

    LINK = "link"
    """Sensors are heard, but connections fail."""
    DEAF = "deaf"
    """No advertisement is heard. There may be no sensor in reach."""
    STACK = "stack"
    """The Bluetooth of this host returns errors, or does not answer."""


_LAST: Final[Mapping[FailureKind, Action]] = MappingProxyType(
    {
        FailureKind.LINK: Action.POWER_CYCLE,
        FailureKind.DEAF: Action.POWER_CYCLE,
        FailureKind.STACK: Action.RESTART,
    }
)
_PATIENCE: Final[Mapping[FailureKind, int]] = MappingProxyType(
    {FailureKind.LINK: 1, FailureKind.DEAF: 10, FailureKind.STACK: 1}
)
"""How many times longer silence must last than other failures: most silence is harmless."""
_ORDER: Final = tuple(Action)
_SLOWEST: Final = 32
_IDLE_S: Final = 600.0
"""Longer than the pause between two attempts: after it, a failure starts a new series."""


class EscalationDelays(msgspec.Struct, frozen=True):
    """After how many seconds without success each action is due."""

    new_scanner_s: float = 6.0
    power_cycle_s: float = 15.0
    restart_s: float = 30.0
    exit_s: float = 600.0

    def after(self, action: Action) -> float:
        """Return after how many seconds without success *action* is due."""
        return {
            Action.NEW_CLIENT: 0.0,
            Action.NEW_SCANNER: self.new_scanner_s,
            Action.POWER_CYCLE: self.power_cycle_s,
            Action.RESTART: self.restart_s,
            Action.EXIT: self.exit_s,
        }[action]


class EscalationPolicy:
    """
    The series of failures of one kind, and the actions tried so far.

    Each action is tried once in a series. If the strongest one that the kind allows has not
    helped, the series starts again, each time at half the pace: one broken sensor must not keep
    restarting the radio of all others.

    Args:
        trouble: The kind of the failures.

        steps: After how long without success each action is due.
    """

    def __init__(self, trouble: FailureKind, steps: EscalationDelays) -> None:
        self._last = _LAST[trouble]
        self._may_exit = trouble is FailureKind.STACK
        self._steps = steps
        self._first: float | None = None
        self._failed_at = float("-inf")
        self._since = 0.0
        self._tried = Action.NEW_CLIENT
        self._usual = _PATIENCE[trouble]
        self._slowness = self._usual

    def worked(self) -> None:
        """Note a success: the next failure starts again with the gentlest action."""
        self._first = None
        self._slowness = self._usual

    def failed(self, *, now: float) -> Action:
        """
        Note a failure, and return what to try before the next attempt.

        Repeated failures escalate. The first failure after a long pause, in which the radio was
        not used or the machine slept, starts a new series.
        """
        is_idle, self._failed_at = now - self._failed_at > _IDLE_S, now
        if self._first is None or is_idle:
            self._first = self._since = now
            self._tried = Action.NEW_CLIENT
            return Action.NEW_CLIENT
        if self._may_exit and now - self._first >= self._steps.exit_s:
            return Action.EXIT
        action = self._due(now - self._since)
        if action is Action.NEW_CLIENT:
            return action
        self._tried = action
        if action is self._last:
            self._since, self._tried = now, Action.NEW_CLIENT
            self._slowness = min(_SLOWEST * self._usual, self._slowness * 2)
        return action

    def _due(self, elapsed_s: float) -> Action:
        """Return the next stronger action if it is due; otherwise `NEW_CLIENT`."""
        following = _ORDER[_ORDER.index(self._tried) + 1]
        is_due = elapsed_s >= self._steps.after(following) * self._slowness
        return following if is_due else Action.NEW_CLIENT

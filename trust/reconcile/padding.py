"""
Finds the gateways that read padded leases from the states that they send. Pure.

An attacker who controls the broker can forge any state, and a gateway can forge its own, without
limit. So the number of states that are read is limited for each gateway and for each second, and
so is the number of gateways that wait to be recorded. A dropped state is no loss: gateways repeat
their states.
"""

from collections.abc import Callable
from typing import Final

from wire import state, topics
from wire.errors import WireError

_LISTEN_AGAIN_S: Final = 5.0
_TELL_AGAIN_S: Final = 3600.0
_READ_EACH_SECOND: Final = 500
_MOST: Final = 262_144
"""How many names are remembered: more than the gateways that one broker serves."""
_MOST_WAITING: Final = 10_000


class Padding:
    """
    Reads states and collects the gateways to record. It forgets them after a time.

    Args:
        monotonic_s: Returns the time of a monotonic clock, in seconds.
    """

    def __init__(self, *, monotonic_s: Callable[[], float]) -> None:
        self._now = monotonic_s
        self._heard = _Names(_LISTEN_AGAIN_S)
        self._told = _Names(_TELL_AGAIN_S)
        self._waiting: list[str] = []
        self._second = float("-inf")
        self._left = 0

    def heard(self, topic: str, payload: bytes) -> None:
        """Read the state that was received on *topic*."""
        now = self._now()
        try:
            agent = topics.parse_state(topic)
        except WireError:
            return
        if len(self._waiting) >= _MOST_WAITING:
            return
        if self._told.has(agent, now=now) or self._heard.has(agent, now=now):
            return
        if not self._may_read(now):
            return
        self._heard.add(agent)
        try:
            told = state.decode(payload)
        except WireError:
            return
        if told.does_read(state.LEASE_2):
            self._told.add(agent)
            self._waiting.append(agent)

    def _may_read(self, now: float) -> bool:
        if now >= self._second + 1.0:
            self._second, self._left = now, _READ_EACH_SECOND
        self._left -= 1
        return self._left >= 0

    def take(self, limit: int) -> list[str]:
        """Remove and return at most *limit* gateways that read padded leases."""
        taken, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return taken


class _Names:
    """A bounded set of names that is emptied every *period_s*."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._names: set[str] = set()
        self._since = float("-inf")

    def has(self, name: str, *, now: float) -> bool:
        if now >= self._since + self._period_s:
            self._names.clear()
            self._since = now
        return name in self._names or len(self._names) >= _MOST

    def add(self, name: str) -> None:
        self._names.add(name)

"""
Which gateways read padded leases: their states say so. Pure.

Who controls the broker can forge a state, and any gateway its own, as often as they like. So each
gateway is listened to once in a while, few states are read in a second, and few gateways wait to
be noted. What is passed over is heard again: a gateway says its state again and again.
"""

from collections.abc import Callable
from typing import Final

from wire import state, topics
from wire.errors import WireError

_LISTEN_AGAIN_S: Final = 5.0
_TELL_AGAIN_S: Final = 3600.0
_READ_EACH_SECOND: Final = 500
_MOST: Final = 262_144
"""Names that are remembered: more than gateways that one broker serves."""
_MOST_WAITING: Final = 10_000


class Padding:
    """
    Hears states, and says which gateways are to be noted. Remembers them, but not for ever.

    Args:
        monotonic_s: A clock that only goes on.
    """

    def __init__(self, *, monotonic_s: Callable[[], float]) -> None:
        self._now = monotonic_s
        self._heard = _Names(_LISTEN_AGAIN_S)
        self._told = _Names(_TELL_AGAIN_S)
        self._waiting: list[str] = []
        self._second = float("-inf")
        self._left = 0

    def heard(self, topic: str, payload: bytes) -> None:
        """Take the state that came on *topic*."""
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
        """Return the next gateways that read padded leases, at most *limit*."""
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

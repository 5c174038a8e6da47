"""
Signs that two hold the identity of one gateway, as ingest sees them. Pure: times are passed in.

**Spools in turns.** An agent has one spool at a time. When it begins another (`agent erase`, a
new card, a spool that was damaged beyond reading) the one before is gone for good: what could be
saved of a damaged spool keeps its id. So the spools of an honest agent follow one another, and
none comes again. A *return* is a spool that has a new envelope after another spool of the agent
had one, which itself came after an envelope of the first. An honest agent has none, however often
it is started, whatever backlog it has and whatever the broker sends again: a backlog is in the
spool that it belongs to, and what was settled before is not new.

Two returns within an hour, which are three alternations, are a sign: A, B, A, B. One is none,
because a card that was put away and is put back makes one, by hand.

**Order.** The order of flushes is that in which they were begun, which is the order of arrival.
They commit in any order; what was begun with or before the newest envelope that is known of an
agent is left out. What is left out of an honest order leaves an honest order, so that this makes
no sign. It can hide one where both spools are in each flush, which the broker prevents: it keeps
one connection of a gateway at a time.

**Not seen here.** A copy that holds the spool as well goes on in the same spool: its envelopes
are forgeries of each other. A copy that never sends. Devices that send JSON number their spools
as they like: none is suspected.
"""

import enum
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ingest.values.delivery import Spool

WITHIN_S: Final = 3600.0
_RETURNS: Final = 2
_EARLIER: Final = 8
"""How many earlier spools of an agent are remembered."""
_MAX_AGENTS: Final = 131_072
"""How many agents are remembered, at most; of those, at least the latest half."""
_MAX_TURNED: Final = 4096
"""How many agents are remembered that had more than one spool."""


class CloneSign(enum.StrEnum):
    """What speaks for two holders of one identity."""

    SPOOLS_IN_TURNS = "spools_in_turns"


class _Newest(msgspec.Struct, gc=False):
    """The spool that an agent had last, and when the flush of its newest envelope was begun."""

    spool_id: bytes
    at: float


class _Turned(msgspec.Struct):
    """An agent that had more than one spool."""

    earlier: deque[bytes]
    returns: deque[float]


class Clones:
    """
    Watches the spools of each agent.

    Args:
        on_sign: Told each sign.

        may_alternate: Tells whether an agent may use several spools in turns.

        max_agents: How many agents to remember.
    """

    def __init__(
        self,
        *,
        on_sign: Callable[[CloneSign], None],
        may_alternate: Callable[[str], bool],
        max_agents: int = _MAX_AGENTS,
    ) -> None:
        self._on_sign = on_sign
        self._may_alternate = may_alternate
        self._max_agents = max_agents
        # Two generations instead of an order, as in `wire.sealing.Opener`.
        self._newest: dict[str, _Newest] = {}
        self._older: dict[str, _Newest] = {}
        self._turned: OrderedDict[str, _Turned] = OrderedDict()

    def advanced(self, spools: Iterable[Spool], *, at: float) -> None:
        """
        Note that a flush has committed new envelopes of *spools*.

        Args:
            spools: Each with at least one envelope that was not settled before.

            at: When the flush was begun, in seconds that only go on; a later one is greater.
        """
        for spool in spools:
            agent, spool_id = spool
            newest = self._newest.get(agent) or self._remember(agent, spool_id, at)
            if newest.at >= at:
                continue
            newest.at = at
            if newest.spool_id != spool_id:
                self._turn(agent, newest.spool_id, spool_id, at)
                newest.spool_id = spool_id

    def _remember(self, agent: str, spool_id: bytes, at: float) -> _Newest:
        if len(self._newest) >= self._max_agents // 2:
            self._newest, self._older = {}, self._newest
        found = self._newest[agent] = self._older.get(agent) or _Newest(spool_id, at)
        return found

    def _turn(self, agent: str, before: bytes, now: bytes, at: float) -> None:
        turned = self._turned.get(agent)
        if turned is None:
            turned = self._turned[agent] = _Turned(deque(maxlen=_EARLIER), deque(maxlen=_RETURNS))
            if len(self._turned) > _MAX_TURNED:
                self._turned.popitem(last=False)
        self._turned.move_to_end(agent)
        if before not in turned.earlier:
            turned.earlier.append(before)
        if now not in turned.earlier:
            return
        turned.returns.append(at)
        if len(turned.returns) == _RETURNS and at - turned.returns[0] <= WITHIN_S:
            turned.returns.clear()
            if not self._may_alternate(agent):
                self._on_sign(CloneSign.SPOOLS_IN_TURNS)

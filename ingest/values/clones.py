"""
Signs that two devices use the identity of one gateway. Pure: times are passed in.

**Spools in turns.** An agent has one spool at a time. When it starts another (after `agent erase`,
with a new card, or after damage that cannot be repaired), the old spool is gone for good; a spool
that could be repaired keeps its id. The spools of an honest agent therefore follow one another,
and none returns. A *return* is a new envelope of a spool A after an envelope of a spool B that
itself came after an envelope of A. An honest agent causes no return by restarts, by a backlog or
by duplicates: a backlog stays in its own spool, and a settled envelope is not new.

Two returns within an hour (A, B, A, B) are a sign. One return is not: it also happens when a
person takes out a card and puts it back later.

**Order.** Flushes are ordered by the time at which they were begun, which is the order of arrival,
although they may commit in another order. Envelopes of a flush that was begun with or before the
newest known envelope of the agent are left out. Leaving envelopes out of an honest order leaves an
honest order, so that this never causes a sign. It could hide one if each flush held envelopes of
both spools, but the broker keeps only one connection of a gateway at a time.

**Not detected.** A copy of a gateway that includes the spool continues the same spool: the two
devices' envelopes conflict, and the ledger quarantines them. A copy that never sends. JSON devices
may number their spools as they like, and are never suspected.
"""

import enum
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ingest.values.delivery import Spool

WITHIN_S: Final = 3600.0
"""Period in which `_RETURNS` returns are a sign."""
_RETURNS: Final = 2
_EARLIER: Final = 8
"""Limit of earlier spools remembered for each agent."""
_MAX_AGENTS: Final = 131_072
"""Limit of agents remembered; at least the half that was used last is kept."""
_MAX_TURNED: Final = 4096
"""Limit of agents remembered that have used more than one spool."""


class CloneSign(enum.StrEnum):
    """A sign that two devices use one identity."""

    SPOOLS_IN_TURNS = "spools_in_turns"


class _Newest(msgspec.Struct, gc=False):
    """The spool that an agent used last, and when the flush of its newest envelope was begun."""

    spool_id: bytes
    at: float


class _Turned(msgspec.Struct):
    """The earlier spools of an agent, and the times of its last returns."""

    earlier: deque[bytes]
    returns: deque[float]


class Clones:
    """
    Finds signs of clones in the order of each agent's spools.

    Args:
        on_sign: Called for each sign.

        may_alternate: Returns whether an agent may use several spools in turns.

        max_agents: Limit of agents remembered.
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
        # Two generations instead of a least-recently-used order, as in `wire.sealing.Opener`.
        self._newest: dict[str, _Newest] = {}
        self._older: dict[str, _Newest] = {}
        self._turned: OrderedDict[str, _Turned] = OrderedDict()

    def advanced(self, spools: Iterable[Spool], *, at: float) -> None:
        """
        Note that a flush has committed new envelopes of *spools*.

        Args:
            spools: Spools with at least one envelope that was not settled before.

            at: Time at which the flush was begun, in seconds of a monotonic clock.
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

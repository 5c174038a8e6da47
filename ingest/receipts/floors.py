"""
Floors: sequences below which an agent will never send again. Accepted only with a proof. Pure.

Checking a proof costs a key agreement, once for each agent. A floor is therefore checked only if
it makes a difference: if the spool is loaded, and settled less far.
"""

import enum
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from ingest.receipts.settle import Settlements
from ingest.values.delivery import Spool
from wire.receipt import MAX_SPOOLS
from wire.state import SpoolState

_MAX_CLAIMS: Final = 200_000


class Ignored(enum.StrEnum):
    """Why a floor is ignored."""

    NO_PROOF = "no_proof"
    """The state has no proof; agents of version 0.1.0 send none."""
    NO_KEY = "no_key"
    """The agent's lease key is not known or of small order: the floor waits for another key."""
    BAD_PROOF = "bad_proof"
    """The proof is wrong: the agent did not make the statement."""


class Floors:
    """
    Applies the floors that agents report in their states.

    Args:
        settlements: The settled sequences, which a floor raises.

        judge: Returns why the floor of an agent's spool must be ignored; None if it is proven.

        on_ignored: Called for each floor that would have settled sequences and was ignored.

        max_claims: Limit of floors remembered for spools that are not loaded yet, and of agents
            remembered whose lease key is not known yet.
    """

    def __init__(
        self,
        settlements: Settlements,
        judge: Callable[[str, SpoolState], Ignored | None],
        *,
        on_ignored: Callable[[Ignored], None],
        max_claims: int = _MAX_CLAIMS,
    ) -> None:
        self._settlements = settlements
        self._judge = judge
        self._max_claims = max_claims
        self._claims: OrderedDict[Spool, SpoolState] = OrderedDict()
        self._keyless: OrderedDict[str, OrderedDict[bytes, SpoolState]] = OrderedDict()
        self._on_ignored = on_ignored

    def told(self, agent: str, told: SpoolState, *, now: float) -> None:
        """Apply the floor that *agent* reports, or keep it until the spool is loaded."""
        spool = agent, bytes.fromhex(told.spool_id)
        is_behind = self._settlements.is_behind(spool, told.floor)
        if is_behind is None:
            self._claims[spool] = told
            self._claims.move_to_end(spool)
            if len(self._claims) > self._max_claims:
                self._claims.popitem(last=False)
        elif is_behind:
            self._take(spool, told, now)

    def learned(self, spool: Spool, *, now: float) -> None:
        """Apply the floor that was reported before *spool* was loaded."""
        told = self._claims.pop(spool, None)
        if told is not None and self._settlements.is_behind(spool, told.floor):
            self._take(spool, told, now)

    @property
    def has_keyless(self) -> bool:
        """Whether a floor waits for the lease key of its agent."""
        return bool(self._keyless)

    def recognised(self, agents: Iterable[str], *, now: float) -> None:
        """Apply the floors of *agents* that waited for a lease key, if the key is known now."""
        for agent in agents:
            for spool_id, told in list(self._keyless.get(agent, {}).items()):
                spool = agent, spool_id
                is_behind = self._settlements.is_behind(spool, told.floor)
                if is_behind:
                    self._take(spool, told, now)
                    continue
                self._forget_keyless(spool)
                if is_behind is None:
                    # The spool was dropped from memory; the floor waits until it is loaded again.
                    self.told(agent, told, now=now)

    def _take(self, spool: Spool, told: SpoolState, now: float) -> None:
        why = self._judge(spool[0], told)
        if why is Ignored.NO_KEY:
            if self._keep_keyless(spool, told):
                self._on_ignored(why)
            return
        self._forget_keyless(spool)
        if why is None:
            self._settlements.raise_floor(spool, told.floor, now=now)
        else:
            self._on_ignored(why)

    def _keep_keyless(self, spool: Spool, told: SpoolState) -> bool:
        """Keep a floor until the agent's lease key is known; return whether it is a new one."""
        agent, spool_id = spool
        spools = self._keyless.setdefault(agent, OrderedDict())
        is_news = spools.get(spool_id) != told
        spools[spool_id] = told
        spools.move_to_end(spool_id)
        if len(spools) > MAX_SPOOLS:
            spools.popitem(last=False)
        self._keyless.move_to_end(agent)
        if len(self._keyless) > self._max_claims:
            self._keyless.popitem(last=False)
        return is_news

    def _forget_keyless(self, spool: Spool) -> None:
        agent, spool_id = spool
        spools = self._keyless.get(agent)
        if spools is not None and spools.pop(spool_id, None) is not None and not spools:
            del self._keyless[agent]

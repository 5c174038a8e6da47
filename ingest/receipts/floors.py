"""
Floors: what an agent says that it will never send again. Believed only when it proves it. Pure.

A proof costs an agreement of keys, once for each agent. So it is looked at when it matters: when
the spool is known here, and settled less far.
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
    """Why a floor settles nothing."""

    NO_PROOF = "no_proof"
    """Its agent proves none, as those of version 0.1.0."""
    NO_KEY = "no_key"
    """Trust has not written its lease key, or one of a small order: it waits for another."""
    BAD_PROOF = "bad_proof"
    """Its agent did not say so."""


class Floors:
    """
    Takes floors as states tell them.

    Args:
        settlements: What is settled.

        judge: Returns why the floor of an agent's spool is to be ignored; None for a proven one.

        on_ignored: Told of each floor that would have settled something and did not.

        max_claims: How many floors of spools that are not known yet to remember, and how many
            agents whose lease key is not.
    """

    def __init__(
        self,
        settlements: Settlements,
        judge: Callable[[str, SpoolState], Ignored | None],
        *,
        on_ignored: Callable[[Ignored], None] = lambda why: None,
        max_claims: int = _MAX_CLAIMS,
    ) -> None:
        self._settlements = settlements
        self._judge = judge
        self._max_claims = max_claims
        self._claims: OrderedDict[Spool, SpoolState] = OrderedDict()
        self._keyless: OrderedDict[str, OrderedDict[bytes, SpoolState]] = OrderedDict()
        self._on_ignored = on_ignored

    def told(self, agent: str, told: SpoolState, *, now: float) -> None:
        """Take what *agent* says of a spool, or keep it until the spool is known."""
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
        """Take what was said of *spool*, which is known now."""
        told = self._claims.pop(spool, None)
        if told is not None and self._settlements.is_behind(spool, told.floor):
            self._take(spool, told, now)

    @property
    def has_keyless(self) -> bool:
        """Whether any floor waits for the lease key of its agent."""
        return bool(self._keyless)

    def recognised(self, agents: Iterable[str], *, now: float) -> None:
        """Take what those of *agents* said whose lease key was not known, if it is known now."""
        for agent in agents:
            for spool_id, told in list(self._keyless.get(agent, {}).items()):
                spool = agent, spool_id
                is_behind = self._settlements.is_behind(spool, told.floor)
                if is_behind:
                    self._take(spool, told, now)
                    continue
                self._forget_keyless(spool)
                if is_behind is None:
                    # Forgotten meanwhile: it is taken when the spool is known again.
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
        """Keep a floor until its agent's lease key is known; tell whether it was not kept yet."""
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

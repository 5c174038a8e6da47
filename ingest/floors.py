"""
Floors: what an agent says that it will never send again. Believed only when it proves it. Pure.

A proof costs an agreement of keys, once for each agent. So it is looked at when it matters: when
the spool is known here, and settled less far.
"""

import enum
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ingest.delivery import Spool
from ingest.settle import Settlements
from wire.state import SpoolState

_MAX_CLAIMS: Final = 200_000


class Ignored(enum.StrEnum):
    """Why a floor settles nothing."""

    NO_PROOF = "no_proof"
    """Its agent proves none, as those of version 0.1.0."""
    NO_KEY = "no_key"
    """Trust has not written its lease key, or one of a small order."""
    BAD_PROOF = "bad_proof"
    """Its agent did not say so."""


class Floors:
    """
    Takes floors as states tell them.

    Args:
        settlements: What is settled.

        judge: Returns why the floor of an agent's spool is to be ignored; None for a proven one.

        on_ignored: Told of each floor that would have settled something and did not.

        max_claims: How many floors of spools that are not known yet to remember.
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

    def _take(self, spool: Spool, told: SpoolState, now: float) -> None:
        why = self._judge(spool[0], told)
        if why is None:
            self._settlements.raise_floor(spool, told.floor, now=now)
        else:
            self._on_ignored(why)

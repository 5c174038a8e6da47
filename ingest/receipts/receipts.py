"""
Receipts as they are published: proven to each agent that reads them so, plain to all others.

No I/O. Which form an agent reads it says in its state. As long as that is not known its receipts
wait: a guess could be one that it does not read, or one that it does not believe any more. A
receipt that waits costs no memory but its agent's name; what it says is said by the next one.
"""

import enum
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission.permissions import JSON, NO_KEY
from ingest.receipts.floors import Ignored
from wire import agreement, receipt, state
from wire.agreement import Agreement
from wire.errors import WeakKey
from wire.receipt import SpoolReceipt
from wire.state import SpoolState

MAX_AGENTS: Final = 262_144
"""How many agents are remembered, at most; of those, at least the latest half."""


class Wait(enum.StrEnum):
    """Why an agent is not told what is settled."""

    NO_STATE = "no_state"
    """It was not heard of since this process began, so that nobody knows what it reads."""
    NO_KEY = "no_key"
    """It reads proven receipts alone, and trust has not written its lease key."""
    WEAK_KEY = "weak_key"
    """The same, and its lease key is of a small order."""


class Proofs:
    """
    What ingest shares with agents, worked out once for each: the X25519 of a key costs as much as
    opening fifty envelopes.

    Args:
        keys: Ingest's private keys, every one that an agent may still pin.

        max_agents: How many to remember.
    """

    def __init__(self, keys: Sequence[X25519PrivateKey], *, max_agents: int = MAX_AGENTS) -> None:
        self._keys = list(keys)
        self._max_agents = max_agents
        # Two generations instead of an order, as in `wire.sealing.Opener`.
        self._known: dict[tuple[str, bytes], list[Agreement]] = {}
        self._older: dict[tuple[str, bytes], list[Agreement]] = {}

    def with_agent(self, agent: str, lease_key: bytes) -> list[Agreement]:
        """
        Return what is shared with *agent*, under each of ingest's keys.

        Raises:
            WeakKey: Its lease key is of a small order.
        """
        known = self._known.get((agent, lease_key))
        if known is not None:
            return known
        found = self._older.get((agent, lease_key)) or [
            agreement.of_ingest(key, lease_key, agent) for key in self._keys
        ]
        if len(self._known) >= self._max_agents // 2:
            self._known, self._older = {}, self._known
        self._known[agent, lease_key] = found
        return found


Peers = Callable[[Sequence[str]], list[tuple[int, bytes]]]
"""Returns the standing of each agent, and its public lease key or `NO_KEY`."""


class Receipts:
    """
    Knows which agent reads what, and writes receipts accordingly.

    Args:
        proofs: What is shared with agents.

        peers: Who they are, as far as permissions tell.

        max_agents: How many to remember; of the others it is not known what they read.
    """

    def __init__(self, proofs: Proofs, peers: Peers, *, max_agents: int = MAX_AGENTS) -> None:
        self._proofs = proofs
        self._peers = peers
        self._max_agents = max_agents
        self._reads_proven: OrderedDict[str, bool] = OrderedDict()
        self._waiting: OrderedDict[str, Wait] = OrderedDict()
        self.waiting = dict.fromkeys(Wait, 0)
        """How many agents wait to be told, by why."""

    def heard(self, agent: str, *, reads_proven: bool) -> bool:
        """Note which form *agent* reads; tell whether that is news, and a receipt is owed."""
        before = self._reads_proven.get(agent)
        self._reads_proven[agent] = reads_proven
        if before is None:
            if len(self._reads_proven) > self._max_agents:
                self._reads_proven.popitem(last=False)
        else:
            self._reads_proven.move_to_end(agent)
        return before is not reads_proven

    @property
    def has_waiting(self) -> bool:
        """Whether any agent waits to be told."""
        return bool(self._waiting)

    def recognised(self, agents: Iterable[str]) -> list[str]:
        """Return those of *agents*, about whom something changed, that wait for their key."""
        unasked = Wait.NO_STATE
        return [agent for agent in agents if self._waiting.get(agent, unasked) is not unasked]

    def write(self, due: Sequence[tuple[str, list[SpoolReceipt]]]) -> list[tuple[str, bytes]]:
        """Return the receipt of each agent that can be told; the others wait."""
        if not due:
            return []
        written = []
        peers = self._peers([agent for agent, _ in due])
        for (agent, spools), (standing, lease_key) in zip(due, peers, strict=True):
            found = self._write_one(agent, spools, standing, lease_key)
            if isinstance(found, Wait):
                self._wait(agent, found)
            else:
                if agent in self._waiting:
                    self.waiting[self._waiting.pop(agent)] -= 1
                written.append((agent, found))
        return written

    def _write_one(
        self, agent: str, spools: list[SpoolReceipt], standing: int, lease_key: bytes
    ) -> bytes | Wait:
        if standing == JSON:
            # It has no lease key, and need not tell a state.
            return receipt.encode(spools)
        reads_proven = self._reads_proven.get(agent)
        if reads_proven is None:
            return Wait.NO_STATE
        if not reads_proven:
            return receipt.encode(spools)
        if lease_key == NO_KEY:
            return Wait.NO_KEY
        try:
            return receipt.encode_proven(spools, self._proofs.with_agent(agent, lease_key))
        except WeakKey:
            return Wait.WEAK_KEY

    def _wait(self, agent: str, why: Wait) -> None:
        if (before := self._waiting.get(agent)) is not None:
            self.waiting[before] -= 1
        self._waiting[agent] = why
        self.waiting[why] += 1
        if len(self._waiting) > self._max_agents:
            _, forgotten = self._waiting.popitem(last=False)
            self.waiting[forgotten] -= 1

    def judge_floor(self, agent: str, told: SpoolState) -> Ignored | None:
        """Return why what *agent* says of a spool is to be ignored; None when it proves it."""
        if not told.proof:
            return Ignored.NO_PROOF
        ((_, lease_key),) = self._peers([agent])
        if lease_key == NO_KEY:
            return Ignored.NO_KEY
        try:
            held = self._proofs.with_agent(agent, lease_key)
        except WeakKey:
            return Ignored.NO_KEY
        return None if state.is_floor_proven(told, held) else Ignored.BAD_PROOF

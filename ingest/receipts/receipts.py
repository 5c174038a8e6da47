"""
Encodes receipts: with a proof for agents that require one, plain for all others. Pure.

An agent reports in its state which form it reads. Until the state is known, receipts to the agent
wait, because an agent ignores a form that it cannot read or no longer accepts. A waiting receipt
takes no memory but the agent's name; the next receipt reports the same sequences.
"""

import contextlib
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
"""Limit of agents remembered; at least the half that was used last is kept."""


class Wait(enum.StrEnum):
    """Why no receipt can be sent to an agent."""

    NO_STATE = "no_state"
    """No state has arrived since this process started: it is unknown what the agent reads."""
    NO_KEY = "no_key"
    """The agent reads only proven receipts, and its lease key is not known."""
    WEAK_KEY = "weak_key"
    """The agent reads only proven receipts, and its lease key is of small order."""


class Proofs:
    """
    A cache of the secrets that ingest shares with agents.

    One X25519 agreement costs as much as opening fifty envelopes.

    Args:
        keys: All private keys of ingest that an agent may still pin.

        max_agents: Limit of agents in the cache.
    """

    def __init__(self, keys: Sequence[X25519PrivateKey], *, max_agents: int = MAX_AGENTS) -> None:
        self._keys = list(keys)
        self._max_agents = max_agents
        # Two generations instead of a least-recently-used order, as in `wire.sealing.Opener`.
        self._known: dict[tuple[str, bytes], list[Agreement]] = {}
        self._older: dict[tuple[str, bytes], list[Agreement]] = {}

    def with_agent(self, agent: str, lease_key: bytes) -> list[Agreement]:
        """
        Return the secret shared with *agent* for each key of ingest.

        Raises:
            WeakKey: The lease key is of small order (RFC 7748, section 6.1).
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
    Encodes the receipts of each agent in the form that the agent reads.

    Args:
        proofs: Secrets shared with agents.

        peers: Standings and lease keys of agents.

        max_agents: Limit of agents whose form is remembered.
    """

    def __init__(self, proofs: Proofs, peers: Peers, *, max_agents: int = MAX_AGENTS) -> None:
        self._proofs = proofs
        self._peers = peers
        self._max_agents = max_agents
        self._reads_proven: OrderedDict[str, bool] = OrderedDict()
        self._waiting: OrderedDict[str, Wait] = OrderedDict()
        self.waiting = dict.fromkeys(Wait, 0)
        """Number of agents that wait for a receipt, by reason."""

    def heard(self, agent: str, *, reads_proven: bool) -> bool:
        """Note which form *agent* reads; return whether that is new, and a receipt is due."""
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
        """Whether an agent waits for a receipt."""
        return bool(self._waiting)

    def recognised(self, agents: Iterable[str]) -> list[str]:
        """Return those of *agents* whose receipts wait, so that each is tried again."""
        found = [agent for agent in agents if agent in self._waiting]
        for agent in found:
            self._end_wait(agent)
        return found

    def prepare(self, agents: Sequence[str]) -> None:
        """
        Agree on keys with *agents* before their first receipts are due.

        Agents that are known to read only plain receipts are left out, and so are those without a
        usable lease key.
        """
        for agent, (standing, lease_key) in zip(agents, self._peers(agents), strict=True):
            is_proven = standing != JSON and self._reads_proven.get(agent, True)
            if is_proven and lease_key != NO_KEY:
                with contextlib.suppress(WeakKey):
                    self._proofs.with_agent(agent, lease_key)

    def write(self, due: Sequence[tuple[str, list[SpoolReceipt]]]) -> list[tuple[str, bytes]]:
        """Return agent and payload of each receipt that can be sent; the other agents wait."""
        if not due:
            return []
        written = []
        due = [one for one in due if not self._is_unheard(one[0])]
        peers = self._peers([agent for agent, _ in due])
        for (agent, spools), (standing, lease_key) in zip(due, peers, strict=True):
            found = self._write_one(agent, spools, standing, lease_key)
            if isinstance(found, Wait):
                self._wait(agent, found)
            else:
                self._end_wait(agent)
                written.append((agent, found))
        return written

    def _is_unheard(self, agent: str) -> bool:
        """Return whether *agent* waits for its state, which has not come since."""
        is_waiting = self._waiting.get(agent) is Wait.NO_STATE
        return is_waiting and agent not in self._reads_proven

    def _write_one(
        self, agent: str, spools: list[SpoolReceipt], standing: int, lease_key: bytes
    ) -> bytes | Wait:
        if standing == JSON:
            # A JSON agent has no lease key, and need not publish a state.
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

    def _end_wait(self, agent: str) -> None:
        if (why := self._waiting.pop(agent, None)) is not None:
            self.waiting[why] -= 1

    def _wait(self, agent: str, why: Wait) -> None:
        if (before := self._waiting.get(agent)) is not None:
            self.waiting[before] -= 1
        self._waiting[agent] = why
        self.waiting[why] += 1
        if len(self._waiting) > self._max_agents:
            _, forgotten = self._waiting.popitem(last=False)
            self.waiting[forgotten] -= 1

    def judge_floor(self, agent: str, told: SpoolState) -> Ignored | None:
        """Return why the floor that *agent* reports must be ignored; None if it is proven."""
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

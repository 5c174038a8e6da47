"""Receipts for agents whose keys and states are kept in memory."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission.permissions import SEALED
from ingest.receipts.receipts import Proofs, Receipts
from tests.fakes.ingest import (
    AGENT,
    LEASE_KEY,
    LEASE_PUBLIC,
    SPOOL,
)
from wire import agreement
from wire.receipt import SpoolReceipt

NEW = X25519PrivateKey.from_private_bytes(bytes(range(32)))
OLD = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SPOOLS = [SpoolReceipt(SPOOL, 7)]
OTHER = "f" * 16


class Peers:
    """The agents' standings and keys, as the test sets them."""

    def __init__(self, standing: int = SEALED, lease_key: bytes = LEASE_PUBLIC) -> None:
        self.standing, self.lease_key = standing, lease_key
        self.asked = 0
        """Number of look-ups of an agent."""

    def __call__(self, agents: object) -> list[tuple[int, bytes]]:
        """Return the same for each agent."""
        assert isinstance(agents, list)
        self.asked += len(agents)
        return [(self.standing, self.lease_key)] * len(agents)


def shared(key: X25519PrivateKey) -> agreement.Agreement:
    """Return the agreement of the agent with ingest's *key*."""
    return agreement.of_agent(LEASE_KEY, key.public_key().public_bytes_raw(), AGENT)


def receipts(peers: Peers, *, max_agents: int = 8) -> Receipts:
    """Return the receipts of an ingest with two keys."""
    return Receipts(Proofs([NEW, OLD]), peers, max_agents=max_agents)

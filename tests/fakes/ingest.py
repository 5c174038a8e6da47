"""Ingest's ports in memory: a receiver and a store that fail on demand."""

import asyncio
from collections.abc import Callable, Iterable

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission import permissions as known
from ingest.admission.permissions import Changes, Permissions
from ingest.admission.plan import Plan, conclude, unstored
from ingest.errors import IngestError, Poisoned
from ingest.ports import SpoolRanges, Stored
from ingest.values.delivery import Delivery, EnvelopeId, Opened, Spool
from wire import topics
from wire.envelope import Block, Body, pack_block
from wire.quantities import Code

PermissionRow = tuple[tuple[int, int], *tuple[int, ...]]
"""A row of `ingest.admission.permissions.PERMISSION`."""

AGENT = "0123456789abcdef"
HANDLE = bytes(range(16))
SPOOL = bytes(range(50, 66))
NOW_MS = 1_790_000_000_000
LEASE_KEY = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
LEASE_PUBLIC = LEASE_KEY.public_key().public_bytes_raw()


class MemoryReceiver:
    """A receiver whose deliveries come from the test."""

    def __init__(self) -> None:
        self.generation = 1
        self.acknowledged: list[Delivery] = []
        self.published: list[tuple[str, bytes]] = []
        self.is_stopped = False
        self._queue: asyncio.Queue[list[Delivery]] = asyncio.Queue()

    def feed(self, *deliveries: Delivery) -> None:
        """Let *deliveries* arrive."""
        self._queue.put_nowait(list(deliveries))

    async def receive(self) -> list[Delivery]:
        return await self._queue.get()

    def take(self) -> list[Delivery]:
        taken: list[Delivery] = []
        while not self._queue.empty():
            taken += self._queue.get_nowait()
        return taken

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        self.acknowledged += deliveries

    def publish(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))

    def stop_receiving(self) -> None:
        self.is_stopped = True


class MemoryStore:
    """
    A store that keeps flushes in memory.

    Args:
        failures: Exceptions that the next flushes raise, one after the other.

        poison: Payloads that the store cannot write, except into quarantine.
    """

    def __init__(
        self, *, failures: Iterable[IngestError] = (), poison: Iterable[bytes] = ()
    ) -> None:
        self.failures = list(failures)
        self.poison = set(poison)
        self.ledger: dict[EnvelopeId, bytes] = {}
        self.flushes: list[Stored] = []
        self.changes: Changes | None = None

    async def open(self) -> None:
        """Do nothing: a store in memory is always open."""

    async def read_spools(self, spools: Iterable[Spool]) -> list[SpoolRanges]:
        return [(spool, 0, []) for spool in spools]

    async def flush(
        self,
        plan: Plan,
        *,
        watermarks: list[tuple[str, bytes, int]],
        replan: Callable[[Changes], Plan],
    ) -> Stored:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        if self.changes is not None:
            plan = replan(self.changes)
        accepted = [o for o, v in zip(plan.opened, plan.verdicts, strict=True) if v is None]
        if any(one.delivery.payload in self.poison for one in accepted):
            raise Poisoned("23514")
        settled = {}
        for index, row in zip(plan.firsts, plan.ledger(), strict=True):
            before = self.ledger.setdefault(row.identity, row.digest)
            if before is not row.digest:
                settled[index] = before
        fates, conflicts = conclude(plan, settled)
        lost = unstored(plan, fates, conflicts, ())
        self.flushes.append(Stored(plan, fates, NOW_MS, 0.0, unstored=lost))
        return self.flushes[-1]


def permission(
    *,
    handle: bytes = HANDLE,
    quantity: int = Code.HEART_RATE,
    agent: str = AGENT,
    series_id: int = 1,
    is_withdrawn: bool = False,
    valid_from_ms: int = 0,
    valid_to_ms: int | None = None,
    measured_to_ms: int | None = None,
    source: int = 0,
    rule: tuple[int, int, int] = (1, 1, 1),
) -> PermissionRow:
    """Return a permission, which by default covers all of the past."""
    words = (int.from_bytes(handle[:8], "big"), int.from_bytes(handle[8:], "big"))
    end_ms = known.FOR_EVER_MS if valid_to_ms is None else valid_to_ms
    until_ms = known.FOR_EVER_MS if measured_to_ms is None else measured_to_ms
    period_ms = valid_from_ms, end_ms
    return (
        *(words, quantity, int(agent, 16), series_id, *period_ms, is_withdrawn, *rule),
        *(source, until_ms),
    )


def changes(
    epoch: int,
    *,
    is_complete: bool = False,
    agents: Iterable[tuple[str, str | None]] = (),
    expires_at_ms: int = known.FOR_EVER_MS,
    leases: Iterable[tuple[str, int, int, int]] = (),
    permissions: Iterable[PermissionRow] = (),
    lease_key: bytes = LEASE_PUBLIC,
) -> Changes:
    """
    Return `Changes` made from plain values.

    Args:
        epoch: The epoch of the last change.

        is_complete: Whether these are all permissions.

        agents: Agents with their formats; None for a revoked agent.

        expires_at_ms: When all these agents expire, ms since 1970.

        leases: Agent, version, issue and end of each lease, ms since 1970.

        permissions: Results of `permission`.

        lease_key: Public lease key of all *agents*.
    """
    standings = {None: known.REVOKED, "sealed": known.SEALED, "json": known.JSON}
    return Changes(
        epoch,
        is_complete,
        agents=np.array(
            [(int(a, 16), standings[f], expires_at_ms, tuple(lease_key)) for a, f in agents],
            dtype=known.AGENT,
        ),
        leases=np.array([(int(a, 16), *rest) for a, *rest in leases], dtype=known.LEASE),
        permissions=np.array(list(permissions), dtype=known.PERMISSION),
    )


def knowing(
    *rows: PermissionRow,
    epoch: int = 1,
    format: str | None = "sealed",
    expires_at_ms: int = known.FOR_EVER_MS,
) -> Permissions:
    """Return permissions with *rows*, the agent `AGENT`, and its lease 1, valid at all times."""
    permissions = Permissions()
    permissions.apply(
        changes(
            epoch,
            is_complete=True,
            agents=[(AGENT, format)],
            expires_at_ms=expires_at_ms,
            leases=[(AGENT, 1, 60_000, 1 << 50)],
            permissions=rows,
        )
    )
    return permissions


def delivery(payload: bytes = b"", *, generation: int = 1, agent: str = AGENT) -> Delivery:
    """Return a delivery that has arrived now."""
    return Delivery(topics.observations(agent), payload, 1, generation, NOW_MS)


def opened(
    *blocks: Block,
    sequence: int = 1,
    handle: bytes = HANDLE,
    lease: int = 1,
    digest: bytes = b"d" * 16,
    is_json: bool = False,
) -> Opened:
    """Return a delivery with a body."""
    return Opened(
        delivery(),
        AGENT,
        EnvelopeId((AGENT, SPOOL), sequence),
        digest,
        Body(handle, lease, list(blocks)),
        is_json=is_json,
        observations=sum(map(len, blocks)),
    )


def block(*values: int, start_ms: int = NOW_MS - 60_000, quantity: int = Code.HEART_RATE) -> Block:
    """Return a block with one value per second."""
    return pack_block(quantity, [start_ms + i * 1000 for i in range(len(values))], values)

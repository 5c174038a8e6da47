"""What may be stored now: agents, leases and permissions, flat, in memory."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from wire.envelope import MAX_TIME_MS
from wire.quantities import QUANTITIES

NO_RULE: Final = 0
"""Row of a block that nothing permits: as wide as can be, because it is refused anyway."""

_RULE = np.dtype(
    [
        ("series", np.int32),
        ("slot", np.int64),
        ("valid_from", np.int64),
        ("valid_to", np.int64),
        ("withdrawn", np.bool_),
        ("step", np.int64),
        ("interval", np.int64),
        ("time_step", np.int64),
        ("per_unit", np.float32),
        ("low", np.int32),
        ("high", np.int32),
    ]
)


class AgentRow(msgspec.Struct, frozen=True):
    """Who may send."""

    agent: str
    format: str
    is_revoked: bool


class LeaseRow(msgspec.Struct, frozen=True):
    """When measuring under a lease was allowed."""

    agent: str
    version: int
    issued_at_ms: int
    not_after_ms: int


class PermissionRow(msgspec.Struct, frozen=True):
    """What may be stored of one quantity under one handle."""

    handle: bytes
    quantity: int
    agent: str
    series_id: int
    valid_from_ms: int
    valid_to_ms: int | None
    is_withdrawn: bool
    step: int
    interval_ms: int
    time_step_ms: int


class Changes(msgspec.Struct, frozen=True):
    """
    What changed up to an epoch.

    Args:
        epoch: All changes up to this one are in here, or known already.

        is_complete: Whether this is everything, and what is not in here is no more.
    """

    epoch: int
    is_complete: bool
    agents: list[AgentRow] = []
    leases: list[LeaseRow] = []
    permissions: list[PermissionRow] = []


class Handle(msgspec.Struct, gc=False):
    """Whose gateway a handle is for, and the row of each quantity that it may be used for."""

    agent: str
    rows: dict[int, int]


class Permissions:
    """
    The current truth as far as ingest knows it. Refuses everything until it is first applied.

    Knowing an epoch means knowing every change up to it, so that two readers of the database may
    apply what they read in any order.
    """

    def __init__(self) -> None:
        self.epoch = -1
        self._agents: dict[str, AgentRow] = {}
        self._handles: dict[bytes, Handle] = {}
        self._leases: dict[tuple[str, int], LeaseRow] = {}
        # Slots outlive a re-read: the last readings are kept by them.
        self._slots: dict[int, int] = {}
        self._rules = np.zeros(1024, dtype=_RULE)
        self._used = 0
        self._forget()

    def __len__(self) -> int:
        return self._used - 1

    @property
    def is_loaded(self) -> bool:
        """Whether it was ever applied."""
        return self.epoch >= 0

    @property
    def slots(self) -> int:
        """How many series were ever seen."""
        return len(self._slots)

    def agent(self, agent: str) -> AgentRow | None:
        """Return *agent* if it may send."""
        row = self._agents.get(agent)
        return None if row is None or row.is_revoked else row

    def lease(self, agent: str, version: int) -> LeaseRow | None:
        """Return that lease."""
        return self._leases.get((agent, version))

    def handle(self, handle: bytes) -> Handle | None:
        """Return what is known of *handle*."""
        return self._handles.get(handle)

    def rules(self, rows: NDArray[np.int64]) -> NDArray[np.void]:
        """Return the rules of *rows*, as a structured array."""
        return self._rules[rows]

    def apply(self, changes: Changes) -> None:
        """Take over *changes*, unless they are older than what is known."""
        if changes.is_complete:
            # Even to an older epoch: a database that was restored is the truth, whatever it was.
            self._forget()
        elif changes.epoch <= self.epoch:
            return
        for agent in changes.agents:
            self._agents[agent.agent] = agent
        for lease in changes.leases:
            self._leases[lease.agent, lease.version] = lease
        for permission in changes.permissions:
            self._put(permission)
        self.epoch = changes.epoch

    def _forget(self) -> None:
        self._agents.clear()
        self._handles.clear()
        self._leases.clear()
        self._used = 1
        self._rules[NO_RULE] = (0, 0, 0, MAX_TIME_MS + 1, False, 1, 1, 1, 1.0, -32768, 32767)

    def _put(self, permission: PermissionRow) -> None:
        quantity = QUANTITIES.get(permission.quantity)
        if quantity is None:
            # From a later version of trust. What we cannot check we do not store.
            return
        known = self._handles.setdefault(permission.handle, Handle(permission.agent, {}))
        known.agent = permission.agent
        row = known.rows.setdefault(permission.quantity, self._used)
        if row == self._used:
            self._used += 1
            if row == len(self._rules):
                self._rules = np.concatenate([self._rules, np.zeros_like(self._rules)])
        valid_to = permission.valid_to_ms
        self._rules[row] = (
            permission.series_id,
            self._slots.setdefault(permission.series_id, len(self._slots)),
            permission.valid_from_ms,
            MAX_TIME_MS + 1 if valid_to is None else valid_to,
            permission.is_withdrawn,
            permission.step,
            permission.interval_ms,
            permission.time_step_ms,
            quantity.per_unit,
            quantity.low,
            quantity.high,
        )


class LastReadings:
    """When each series was last observed, best effort: in memory, from this process's start."""

    def __init__(self) -> None:
        self._times_ms = np.full(1024, -1, dtype=np.int64)

    def times_ms(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the time of the last observation in each of *slots*; −1 for none."""
        self._grow(slots)
        return self._times_ms[slots]

    def note(self, slots: NDArray[np.int64], times_ms: NDArray[np.int64]) -> None:
        """Keep the latest of *times_ms* in each of *slots*."""
        self._grow(slots)
        np.maximum.at(self._times_ms, slots, times_ms)

    def _grow(self, slots: NDArray[np.int64]) -> None:
        if len(slots) and (needed := int(slots.max()) + 1) > len(self._times_ms):
            more = np.full(max(needed, len(self._times_ms)), -1, dtype=np.int64)
            self._times_ms = np.concatenate([self._times_ms, more])

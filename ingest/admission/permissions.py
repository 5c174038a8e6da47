"""
The permissions that this process knows: agents, leases and rules, as flat arrays in memory.

All look-ups take and return arrays for a whole flush. Agent ids (16 hex digits) are one 64-bit
word, handles (16 bytes) two words.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.pair_index import NONE, Ints, PairIndex, Words
from wire.envelope import MAX_TIME_MS
from wire.quantities import QUANTITIES

NO_RULE: Final = 0
"""Number of the rule of a block that nothing permits: the widest rule, as it is refused anyway."""

UNKNOWN: Final = 0
"""Standing of an agent that may not send because it is not enrolled."""
SEALED: Final = 1
"""Standing of an agent that may send sealed envelopes."""
JSON: Final = 2
"""Standing of an agent that may also send JSON envelopes."""
REVOKED: Final = 3
"""Standing of an agent that may not send any more."""

AGENT: Final = np.dtype(
    [("agent", ">u8"), ("standing", "u1"), ("expires_at_ms", ">i8"), ("lease_key", "u1", 32)]
)
"""An agent, its standing, when it expires (ms since 1970), and its public lease key."""

NO_KEY: Final = bytes(32)
"""Stands for the lease key of an agent whose key is not known."""

LEASE: Final = np.dtype(
    [("agent", ">u8"), ("version", ">u8"), ("issued_at_ms", ">i8"), ("not_after_ms", ">i8")]
)
"""A version of an agent's lease, and when measuring under it was allowed (ms since 1970)."""

PERMISSION: Final = np.dtype(
    [
        ("handle", ">u8", 2),
        ("quantity", ">u2"),
        ("agent", ">u8"),
        ("series", ">i4"),
        ("valid_from_ms", ">i8"),
        ("valid_to_ms", ">i8"),
        ("is_withdrawn", "?"),
        ("step", ">i4"),
        ("interval_ms", ">i8"),
        ("time_step_ms", ">i8"),
        ("source", ">i8"),
        ("measured_to_ms", ">i8"),
    ]
)
"""
What may be stored of one quantity under one handle.

`step` is in steps of resolution; `interval_ms` and `time_step_ms` as in `conform.conforms`.
`source` distinguishes the sensors of a person; 0 stands for all of them together.
"""

FOR_EVER_MS: Final = MAX_TIME_MS + 1
"""The `valid_to_ms` of a permission without an end."""

_RULE: Final = np.dtype(
    [
        ("series", np.int32),
        ("slot", np.int32),
        ("valid_from", np.int64),
        ("valid_to", np.int64),
        ("measured_to", np.int64),
        ("withdrawn", np.bool_),
        ("step", np.int32),
        ("interval", np.int64),
        ("time_step", np.int64),
        ("per_unit", np.float32),
        ("low", np.int32),
        ("high", np.int32),
    ]
)
_WIDEST_RULE: Final = np.array(
    [(0, 0, 0, FOR_EVER_MS, FOR_EVER_MS, False, 1, 1, 1, 1.0, -32768, 32767)], dtype=_RULE
)

_QUANTITIES: Final = np.zeros(
    1 << 16, dtype=[("known", "?"), ("per_unit", "f4"), ("low", "i4"), ("high", "i4")]
)
for _code, _quantity in QUANTITIES.items():
    _QUANTITIES[_code] = (True, _quantity.per_unit, _quantity.low, _quantity.high)

_MAX_RECENT: Final = 256
"""How many changes are remembered for flushes that were planned before them."""

Table = NDArray[np.void]
Scalar = TypeVar("Scalar", bound=np.generic)


def _none_of(dtype: np.dtype[np.void]) -> Table:
    return np.zeros(0, dtype=dtype)


class Changes(msgspec.Struct, frozen=True, eq=False):
    """
    The permissions that changed after one epoch and up to another.

    Args:
        epoch: The changes up to this epoch are included.

        is_complete: Whether these are all permissions; what is not included no longer exists.

        agents: Changed agents, as `AGENT`.

        leases: Changed leases, as `LEASE`.

        permissions: Changed permissions, as `PERMISSION`.

        may_concern_all: Whether any agent may be concerned: the changes are known to the process,
            but it no longer remembers which agents they were about.

        since: The changes up to this epoch are not included; −1 if `is_complete`.
    """

    epoch: int
    is_complete: bool
    agents: Table = _none_of(AGENT)
    leases: Table = _none_of(LEASE)
    permissions: Table = _none_of(PERMISSION)
    may_concern_all: bool = False
    since: int = -1

    def concerns(self) -> set[str]:
        """Return the ids of all agents that the changes are about."""
        tables = (self.agents, self.leases, self.permissions)
        words = np.concatenate([table["agent"].astype(np.uint64) for table in tables])
        return {f"{word:016x}" for word in np.unique(words).tolist()}


def agent_words(agents: Sequence[str]) -> Words:
    """Return (agents,) the ids, each of 16 hex digits, as words."""
    return np.frombuffer(bytes.fromhex("".join(agents)), dtype=">u8").astype(np.uint64)


def handle_words(handles: Sequence[bytes]) -> Words:
    """Return (handles, 2) the handles, each of 16 bytes, as two words."""
    return np.frombuffer(b"".join(handles), dtype=">u8").astype(np.uint64).reshape(-1, 2)


class Permissions:
    """
    The permissions as of `epoch`. Permits nothing until changes are first applied.

    To know an epoch is to know every change up to it, so that two readers of the database may
    apply what they have read in any order.
    """

    def __init__(self) -> None:
        self.epoch = -1
        self._recent: deque[tuple[int, Changes]] = deque(maxlen=_MAX_RECENT)
        # Slots outlive a complete re-read, because `LastReadings` is indexed by them.
        self._slots = PairIndex()
        self._forget()

    def __len__(self) -> int:
        return len(self._permitted)

    @property
    def is_loaded(self) -> bool:
        """Whether changes have been applied at least once."""
        return self.epoch >= 0

    @property
    def slots(self) -> int:
        """Number of sources, each of a series, seen since this process started."""
        return len(self._slots)

    def standings(self, agents: Words) -> tuple[NDArray[np.uint8], Ints]:
        """
        Return (agents,) the standings, and (agents,) from when each may not send.

        Times are in ms since 1970; 0 for an agent that is not enrolled.
        """
        found = self._agents.find(agents, np.zeros_like(agents))
        # `NONE` is −1 and finds the last element, which is `UNKNOWN`.
        return self._standings[found], self._expiries[found]

    def peers(self, agents: Sequence[str]) -> list[tuple[int, bytes]]:
        """Return the standing of each of *agents*, and its public lease key or `NO_KEY`."""
        words = agent_words(agents)
        found = self._agents.find(words, np.zeros_like(words))
        keys = self._lease_keys[found].tobytes()
        standings = self._standings[found].tolist()
        return [
            (standing, keys[32 * index : 32 * (index + 1)])
            for index, standing in enumerate(standings)
        ]

    def windows(self, agents: Words, versions: Words) -> Ints:
        """
        Return (leases, 2) begin and end of measuring under each lease; zeros for an unknown one.

        Args:
            agents: (leases,) Agent id as a word.

            versions: (leases,) Version of the agent's lease.
        """
        return self._windows[self._leases.find(agents, versions)]

    def handles(self, handles: Words, agents: Words) -> Ints:
        """
        Return (bodies,) the number of each handle; `NONE` if it does not belong to the agent.

        Args:
            handles: (bodies, 2) Handle as two words.

            agents: (bodies,) Agent that used the handle, as a word.
        """
        found = self._handles.find(handles[:, 0], handles[:, 1])
        found[self._owners[found] != agents] = NONE
        return found

    def rule_numbers(self, handles: Ints, quantities: Words) -> Ints:
        """
        Return (blocks,) the number of the rule for each handle and quantity; `NO_RULE` for none.

        Args:
            handles: (blocks,) Number of the handle, or `NONE`.

            quantities: (blocks,) Code of the quantity.
        """
        found = self._permitted.find(handles.astype(np.uint64), quantities) + 1
        found[handles == NONE] = NO_RULE
        return found

    def rules(self, numbers: Ints) -> Table:
        """
        Return (blocks,) the rules with these *numbers*, as a structured array.

        Fields: `series` id; `slot`, the number of the source in that series; `valid_from`,
        `valid_to` and `measured_to`, ms since 1970; `withdrawn`; `step`, `interval` and
        `time_step` as in `conform.conforms`; `per_unit`, steps of resolution for each unit; `low`
        and `high`, the plausible range in steps.
        """
        # Indexing would copy a row field by field, which takes thirty times as long as `take`.
        return self._rules.take(numbers)

    def apply(self, changes: Changes) -> None:
        """
        Apply *changes*, unless they are known already or leave a gap after the known epoch.

        A gap arises when a complete reading took long and has set the permissions back to an
        epoch before `changes.since`.
        """
        if changes.is_complete:
            # Even to an older epoch: after a restore the database counts, not the memory.
            self._forget()
            self._recent.clear()
        elif changes.epoch <= self.epoch or changes.since > self.epoch:
            return
        else:
            self._recent.append((self.epoch, changes))
        self._take_agents(changes.agents)
        self._take_leases(changes.leases)
        self._take_permissions(changes.permissions)
        self.epoch = changes.epoch

    def since(self, epoch: int) -> Changes | None:
        """Return the known changes after *epoch*; None if no later epoch is known."""
        later = [changes for _, changes in self._recent if changes.epoch > epoch]
        if self.epoch <= epoch:
            return None
        if not later or self._recent[-len(later)][0] > epoch:
            return Changes(self.epoch, is_complete=False, may_concern_all=True, since=epoch)
        return Changes(
            self.epoch,
            is_complete=False,
            since=epoch,
            agents=np.concatenate([changes.agents for changes in later]),
            leases=np.concatenate([changes.leases for changes in later]),
            permissions=np.concatenate([changes.permissions for changes in later]),
        )

    def _forget(self) -> None:
        self._agents, self._leases = PairIndex(), PairIndex()
        self._handles, self._permitted = PairIndex(), PairIndex()
        # Each array has one element more than there are numbers: `NONE` finds the last one.
        self._standings = np.zeros(1, dtype=np.uint8)
        self._lease_keys = np.zeros((1, 32), dtype=np.uint8)
        self._expiries = np.zeros(1, dtype=np.int64)
        self._windows = np.zeros((1, 2), dtype=np.int64)
        self._owners = np.zeros(1, dtype=np.uint64)
        self._rules = _WIDEST_RULE

    def _take_agents(self, table: Table) -> None:
        agents = table["agent"].astype(np.uint64)
        numbers = self._agents.add(agents, np.zeros_like(agents))
        self._standings = _resized(self._standings, len(self._agents) + 1)
        self._standings[numbers] = table["standing"]
        self._lease_keys = _resized(self._lease_keys, len(self._agents) + 1)
        self._lease_keys[numbers] = table["lease_key"]
        self._expiries = _resized(self._expiries, len(self._agents) + 1)
        self._expiries[numbers] = table["expires_at_ms"]

    def _take_leases(self, table: Table) -> None:
        numbers = self._leases.add(
            table["agent"].astype(np.uint64), table["version"].astype(np.uint64)
        )
        self._windows = _resized(self._windows, len(self._leases) + 1)
        self._windows[numbers, 0] = table["issued_at_ms"]
        self._windows[numbers, 1] = table["not_after_ms"]

    def _take_permissions(self, table: Table) -> None:
        # A later version of trust may know more quantities. Ingest stores only what it can check.
        kinds = _QUANTITIES[table["quantity"]]
        table, kinds = table[kinds["known"]], kinds[kinds["known"]]
        words = table["handle"].astype(np.uint64)
        handles = self._handles.add(words[:, 0], words[:, 1])
        self._owners = _resized(self._owners, len(self._handles) + 1)
        self._owners[handles] = table["agent"]
        series = table["series"].astype(np.uint64)
        slots = self._slots.add(series, table["source"].astype(np.uint64))
        numbers = 1 + self._permitted.add(
            handles.astype(np.uint64), table["quantity"].astype(np.uint64)
        )
        self._rules = _resized(self._rules, len(self._permitted) + 1)
        for name, column in (
            ("series", table["series"]),
            ("slot", slots),
            ("valid_from", table["valid_from_ms"]),
            ("valid_to", table["valid_to_ms"]),
            ("measured_to", table["measured_to_ms"]),
            ("withdrawn", table["is_withdrawn"]),
            ("step", table["step"]),
            ("interval", table["interval_ms"]),
            ("time_step", table["time_step_ms"]),
            ("per_unit", kinds["per_unit"]),
            ("low", kinds["low"]),
            ("high", kinds["high"]),
        ):
            self._rules[name][numbers] = column


def _resized(array: NDArray[Scalar], size: int) -> NDArray[Scalar]:
    """Return *array* with *size* rows; the new rows are zero."""
    if len(array) == size:
        return array
    larger = np.zeros((size, *array.shape[1:]), dtype=array.dtype)
    larger[: len(array)] = array
    return larger

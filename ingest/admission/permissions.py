"""What may be stored now: agents, leases and permissions, flat, in memory."""

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
"""Row of a block that nothing permits: as wide as can be, because it is refused anyway."""

UNKNOWN: Final = 0
"""Standing of an agent that may not send: nobody enrolled it."""
SEALED: Final = 1
JSON: Final = 2
"""Standing of an agent that may send JSON envelopes as well."""
REVOKED: Final = 3
"""Standing of an agent that may send no more."""

AGENT: Final = np.dtype(
    [("agent", ">u8"), ("standing", "u1"), ("expires_at_ms", ">i8"), ("lease_key", "u1", 32)]
)
"""
Who may send, and until when: 16 hex digits are 64 bits. The public lease key is zeros where none
is known.
"""

NO_KEY: Final = bytes(32)
"""Instead of a lease key."""

LEASE: Final = np.dtype(
    [("agent", ">u8"), ("version", ">u8"), ("issued_at_ms", ">i8"), ("not_after_ms", ">i8")]
)
"""When measuring under a lease was allowed."""

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
    ]
)
"""What may be stored of one quantity under one handle."""

FOR_EVER_MS: Final = MAX_TIME_MS + 1
"""`valid_to_ms` of a permission without an end."""

_RULE: Final = np.dtype(
    [
        ("series", np.int32),
        ("slot", np.int32),
        ("valid_from", np.int64),
        ("valid_to", np.int64),
        ("withdrawn", np.bool_),
        ("step", np.int32),
        ("interval", np.int64),
        ("time_step", np.int64),
        ("per_unit", np.float32),
        ("low", np.int32),
        ("high", np.int32),
    ]
)
_ANYTHING: Final = np.array(
    [(0, 0, 0, FOR_EVER_MS, False, 1, 1, 1, 1.0, -32768, 32767)], dtype=_RULE
)

_QUANTITIES: Final = np.zeros(
    1 << 16, dtype=[("known", "?"), ("per_unit", "f4"), ("low", "i4"), ("high", "i4")]
)
for _code, _quantity in QUANTITIES.items():
    _QUANTITIES[_code] = (True, _quantity.per_unit, _quantity.low, _quantity.high)

_REMEMBERED: Final = 256
"""How many changes are remembered, for flushes that were planned before them."""

Table = NDArray[np.void]
Scalar = TypeVar("Scalar", bound=np.generic)


def _none_of(dtype: np.dtype[np.void]) -> Table:
    return np.zeros(0, dtype=dtype)


class Changes(msgspec.Struct, frozen=True, eq=False):
    """
    What changed up to an epoch.

    Args:
        epoch: All changes up to this one are in here, or known already.

        is_complete: Whether this is everything, and what is not in here is no more.

        agents: Of `AGENT`.

        leases: Of `LEASE`.

        permissions: Of `PERMISSION`.

        may_concern_all: Whether it is not told who is concerned: all of it is known already, but
            not since when.

        since: What changed up to this epoch is not in here; −1 if everything is.
    """

    epoch: int
    is_complete: bool
    agents: Table = _none_of(AGENT)
    leases: Table = _none_of(LEASE)
    permissions: Table = _none_of(PERMISSION)
    may_concern_all: bool = False
    since: int = -1

    def concerns(self) -> set[str]:
        """Return the agents that something changed about."""
        tables = (self.agents, self.leases, self.permissions)
        words = np.concatenate([table["agent"].astype(np.uint64) for table in tables])
        return {f"{word:016x}" for word in np.unique(words).tolist()}


def agent_words(agents: Sequence[str]) -> Words:
    """Return *agents*, each 16 hex digits, as words."""
    return np.frombuffer(bytes.fromhex("".join(agents)), dtype=">u8").astype(np.uint64)


def handle_words(handles: Sequence[bytes]) -> Words:
    """Return *handles*, each 16 bytes, as two words each."""
    return np.frombuffer(b"".join(handles), dtype=">u8").astype(np.uint64).reshape(-1, 2)


class Permissions:
    """
    The current truth as far as ingest knows it. Refuses everything until it is first applied.

    Knowing an epoch means knowing every change up to it, so that two readers of the database may
    apply what they read in any order. Whatever is asked is asked for a whole flush: arrays in,
    arrays out.
    """

    def __init__(self) -> None:
        self.epoch = -1
        self._recent: deque[tuple[int, Changes]] = deque(maxlen=_REMEMBERED)
        # Slots outlive a re-read: the last readings are kept by them.
        self._slots = PairIndex()
        self._forget()

    def __len__(self) -> int:
        return len(self._permitted)

    @property
    def is_loaded(self) -> bool:
        """Whether it was ever applied."""
        return self.epoch >= 0

    @property
    def slots(self) -> int:
        """How many series were ever seen."""
        return len(self._slots)

    def standings(self, agents: Words) -> NDArray[np.uint8]:
        """Return the standing of each of *agents*."""
        found = self._agents.find(agents, np.zeros_like(agents))
        # The last standing is that of `NONE`.
        return self._standings[found]

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

    def expiries(self, agents: Words) -> Ints:
        """Return from when each of *agents* may not send, in ms; 0 for one that never might."""
        return self._expiries[self._agents.find(agents, np.zeros_like(agents))]

    def windows(self, agents: Words, versions: Words) -> Ints:
        """Return from when until when each lease allows measuring; two zeros without one."""
        return self._windows[self._leases.find(agents, versions)]

    def handles(self, handles: Words, agents: Words) -> Ints:
        """
        Return the number of each handle, `NONE` for one that is not its agent's.

        Args:
            handles: Two words each.

            agents: Who used it.
        """
        found = self._handles.find(handles[:, 0], handles[:, 1])
        found[self._owners[found] != agents] = NONE
        return found

    def rows(self, handles: Ints, quantities: Words) -> Ints:
        """Return the row of each rule: of a handle by its number and a quantity."""
        found = self._permitted.find(handles.astype(np.uint64), quantities) + 1
        found[handles == NONE] = NO_RULE
        return found

    def rules(self, rows: Ints) -> Table:
        """Return the rules of *rows*, as a structured array."""
        # Not by an index: that copies a row field by field, in thirty times the time.
        return self._rules.take(rows)

    def apply(self, changes: Changes) -> None:
        """
        Take over *changes*, unless they are older than what is known, or what was changed before
        them is not known: a complete reading that took long may have put the state back behind
        what they begin after.
        """
        if changes.is_complete:
            # Even to an older epoch: a database that was restored is the truth, whatever it was.
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
        """Return what changed after *epoch* up to what is known, None if nothing is known of."""
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
        # Each has one row more than there are numbers: the last is what `NONE` finds.
        self._standings = np.zeros(1, dtype=np.uint8)
        self._lease_keys = np.zeros((1, 32), dtype=np.uint8)
        self._expiries = np.zeros(1, dtype=np.int64)
        self._windows = np.zeros((1, 2), dtype=np.int64)
        self._owners = np.zeros(1, dtype=np.uint64)
        self._rules = _ANYTHING

    def _take_agents(self, table: Table) -> None:
        agents = table["agent"].astype(np.uint64)
        numbers = self._agents.add(agents, np.zeros_like(agents))
        self._standings = _room(self._standings, len(self._agents) + 1)
        self._standings[numbers] = table["standing"]
        self._lease_keys = _room(self._lease_keys, len(self._agents) + 1)
        self._lease_keys[numbers] = table["lease_key"]
        self._expiries = _room(self._expiries, len(self._agents) + 1)
        self._expiries[numbers] = table["expires_at_ms"]

    def _take_leases(self, table: Table) -> None:
        numbers = self._leases.add(
            table["agent"].astype(np.uint64), table["version"].astype(np.uint64)
        )
        self._windows = _room(self._windows, len(self._leases) + 1)
        self._windows[numbers, 0] = table["issued_at_ms"]
        self._windows[numbers, 1] = table["not_after_ms"]

    def _take_permissions(self, table: Table) -> None:
        # Some may be from a later version of trust. What we cannot check we do not store.
        kinds = _QUANTITIES[table["quantity"]]
        table, kinds = table[kinds["known"]], kinds[kinds["known"]]
        words = table["handle"].astype(np.uint64)
        handles = self._handles.add(words[:, 0], words[:, 1])
        self._owners = _room(self._owners, len(self._handles) + 1)
        self._owners[handles] = table["agent"]
        series = table["series"].astype(np.uint64)
        slots = self._slots.add(series, np.zeros_like(series))
        rows = 1 + self._permitted.add(
            handles.astype(np.uint64), table["quantity"].astype(np.uint64)
        )
        self._rules = _room(self._rules, len(self._permitted) + 1)
        for name, column in (
            ("series", table["series"]),
            ("slot", slots),
            ("valid_from", table["valid_from_ms"]),
            ("valid_to", table["valid_to_ms"]),
            ("withdrawn", table["is_withdrawn"]),
            ("step", table["step"]),
            ("interval", table["interval_ms"]),
            ("time_step", table["time_step_ms"]),
            ("per_unit", kinds["per_unit"]),
            ("low", kinds["low"]),
            ("high", kinds["high"]),
        ):
            self._rules[name][rows] = column


def _room(array: NDArray[Scalar], size: int) -> NDArray[Scalar]:
    """Return *array* with *size* rows, the new ones zero."""
    if len(array) == size:
        return array
    larger = np.zeros((size, *array.shape[1:]), dtype=array.dtype)
    larger[: len(array)] = array
    return larger

"""The ports of the agent. The docstring of each method is the promise of its adapters."""

import enum
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from edge_agent.values.checkpoint import Checkpoint
from edge_agent.values.measurement import Measurement
from edge_agent.values.priority import Priority
from wire.lease import Lease
from wire.receipt import SpoolReceipt


class Clock(Protocol):
    """The clocks of this machine."""

    def now(self) -> float:
        """Return seconds of a monotonic clock, from an unknown start."""
        ...

    def now_ms(self) -> int:
        """Return the time of day, ms since 1970, as far as this machine knows it."""
        ...

    def is_dated(self) -> bool:
        """Tell whether `now_ms` is known; otherwise it is the earliest possible time."""
        ...

    def is_wrong(self) -> bool:
        """Tell whether the machine's clock, which also judges certificates, must be wrong."""
        ...


class KeptTime(Clock, Protocol):
    """A clock that follows the machine's clock as far as that can be trusted."""

    def look(self) -> int | None:
        """Read the machine's clock; return by how many ms the agent's clock was stepped."""
        ...

    def latest_ms(self) -> int:
        """Return the latest time ever believed under the lease in force, ms since 1970."""
        ...

    def sure_ms(self) -> int:
        """Return a time that is certainly past, ms since 1970, derived from trust's signatures."""
        ...

    def adopt(self, lease: Lease) -> None:
        """Note that *lease* is in force from now on. Its time of issue is signed by trust."""
        ...

    def keep(self, *, is_last: bool = False) -> None:
        """Save what is known on disk, from time to time."""
        ...


class Sensors(Protocol):
    """
    The sensors in reach, by radio or from a recording.

    A measurement is either a live notification, which the sensor does not store (`record` is
    None), or a stored record with a growing number. Stored records are fetched from the cursor on,
    and may come twice. Within a sensor they come in ascending order.
    """

    async def listen(self, cursors: Mapping[str, int]) -> None:
        """
        Listen to exactly these sensors, each from the record after its cursor on.

        On return no other sensor is sampled, as far as the agent controls it.
        """
        ...

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Note that records up to these are durable and need not be fetched again."""
        ...

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        """
        Return the measurements that have come, waiting at most *within_s* for the first one.

        Measurements that are not taken wait, and slow their sensor down. Cancelling loses none.
        """
        ...


class Sealed(msgspec.Struct, frozen=True):
    """An envelope on its way into the spool."""

    sequence: int
    handle: bytes
    observations: int
    payload: bytes
    """The bytes that are published, the same each time."""
    worth: Priority = Priority.STREAMED
    """The highest priority among its observations."""


class Spooled(msgspec.Struct, frozen=True):
    """An envelope in the spool."""

    sequence: int
    payload: bytes


class Amount(msgspec.Struct, frozen=True):
    """A number of envelopes, and of observations in them."""

    envelopes: int = 0
    observations: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.envelopes + other.envelopes, self.observations + other.observations)


class Removed(msgspec.Struct, frozen=True):
    """The envelopes that one transaction removed from the spool."""

    amount: Amount
    sequences: list[int]


class Shortage(enum.StrEnum):
    """Why envelopes were given up without a withdrawal."""

    BYTES = "evicted_bytes"
    """The spool has reached its maximum size."""
    DISK = "evicted_disk"
    """The disk is nearly full."""
    AGE = "evicted_age"
    """The envelope waited too long."""


class Appended(msgspec.Struct, frozen=True):
    """The result of an append: what was evicted for it."""

    evicted: Removed
    """The envelopes that were evicted to make room."""
    shortage: Shortage = Shortage.BYTES
    """Why, if something was evicted."""


class SpoolStats(msgspec.Struct, frozen=True):
    """Size and bounds of the spool."""

    floor: int
    """No envelope below this sequence will be sent, or sent again."""
    next_sequence: int
    depth: int
    bytes: int
    oldest_ms: int | None
    """When the oldest envelope was appended, ms since 1970; None if there is none."""


class Spool(Protocol):
    """
    A durable queue of sealed envelopes, with the checkpoints.

    Each method that changes it is one transaction. On return the change survives a power cut;
    after a SpoolError nothing has changed.
    """

    @property
    def spool_id(self) -> bytes:
        """The random id of this spool, the same in all of its envelopes."""
        ...

    def stats(self) -> SpoolStats:
        """Return the spool as its last transaction left it."""
        ...

    def take_sequence(self) -> int:
        """Return a sequence that was never returned before and that no envelope has."""
        ...

    async def append(
        self, envelopes: Sequence[Sealed], marks: Mapping[Checkpoint, int], *, now_ms: int
    ) -> Appended:
        """
        Keep *envelopes* and *marks*.

        When there is no room, envelopes of the lowest priority are evicted, the oldest first.

        Raises:
            SpoolError: Nothing was kept. The sequences must not be used again.
        """
        ...

    def marks(self, marks: Sequence[Checkpoint]) -> dict[Checkpoint, int]:
        """Return the numbers of those *marks* that are known."""
        ...

    async def peek(self, *, after: int, limit: int, through: int = ...) -> list[Spooled]:
        """Return the envelopes above sequence *after* up to *through*, ascending."""
        ...

    async def peek_at(self, sequences: Sequence[int]) -> list[Spooled]:
        """Return the envelopes of *sequences* that are still in the spool, ascending."""
        ...

    def settle(self, receipt: SpoolReceipt) -> None:
        """Note that the envelopes that *receipt* covers may be removed."""
        ...

    async def forget(self) -> Removed:
        """Remove exactly the envelopes that are settled."""
        ...

    async def purge_all_but(self, handles: Collection[bytes]) -> Removed:
        """Erase the envelopes of all other handles, beyond recovery from the file."""
        ...

    @property
    def has_remains(self) -> bool:
        """Whether parts of a purged file are still on disk. The next purge tries again."""
        ...

    async def evict_older_than(self, oldest_ms: int, *, now_ms: int) -> Removed:
        """Remove the envelopes that were appended before *oldest_ms*, ms since 1970."""
        ...


class Downlink(msgspec.Struct, frozen=True):
    """A message from the broker: either a receipt or a lease."""

    receipt: bytes | None = None
    lease: bytes | None = None


class Connection(Protocol):
    """A live connection to the broker. Every method raises BrokerError when it ends."""

    async def publish_envelope(self, payload: bytes) -> None:
        """Publish *payload*; on return the broker has it. Calls may overlap."""
        ...

    async def publish_state(self, payload: bytes) -> None:
        """Replace the retained state of this agent."""
        ...

    def downlinks(self) -> AsyncIterator[Downlink]:
        """Yield messages, retained ones first, until the connection ends."""
        ...


class Broker(Protocol):
    """The MQTT broker."""

    def connect(self, *, will: bytes) -> AbstractAsyncContextManager[Connection]:
        """
        Connect, with *will* as the state that the broker publishes if the connection breaks.

        Leaving the context disconnects properly, and the broker drops the will.

        Raises:
            BrokerError: The broker cannot be reached, or rejects the connection.
        """
        ...

    def is_outdated(self) -> bool:
        """Tell whether the certificate was renewed since the connection began."""
        ...

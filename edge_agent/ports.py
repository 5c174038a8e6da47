"""Every outside thing that the agent stands on; each method's docstring is its promise."""

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
    """What time it is."""

    def now(self) -> float:
        """Return seconds that never jump, from an unknown start."""
        ...

    def now_ms(self) -> int:
        """Return the time of day, ms since 1970, as far as this machine knows it."""
        ...

    def is_dated(self) -> bool:
        """Tell whether `now_ms` can be believed; if not, it is the earliest that it may be."""
        ...

    def is_wrong(self) -> bool:
        """Tell whether the machine's clock, by which certificates are judged, cannot be right."""
        ...


class KeptTime(Clock, Protocol):
    """A clock that follows the machine's as far as that is to be believed."""

    def look(self) -> int | None:
        """Look at the machine's clock; return by how many ms ours stepped, if it did."""
        ...

    def latest_ms(self) -> int:
        """Return the latest that it was ever believed to be under the lease that is held."""
        ...

    def sure_ms(self) -> int:
        """Return a time that is past for sure: trust has signed it, and we have counted on."""
        ...

    def adopt(self, lease: Lease) -> None:
        """Note that *lease* is held from now on: trust has signed when it was issued."""
        ...

    def keep(self, *, is_last: bool = False) -> None:
        """Keep on disk what is known, now and then."""
        ...


class Sensors(Protocol):
    """
    The sensors in reach, by radio or from a recording.

    A measurement is either a live notification (`record` is None: the sensor forgets it), or a
    stored record with a number that grows. Stored records are fetched from the cursor on, and may
    come twice; they never come out of order within a sensor.
    """

    async def listen(self, cursors: Mapping[str, int]) -> None:
        """
        Listen to exactly these sensors, each from the record after its cursor on.

        On return no other sensor is sampled, as far as it lies in our hands.
        """
        ...

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Note that records up to these are durable: nobody needs to fetch them again."""
        ...

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        """
        Return what has come, waiting at most *within_s* for the first; often more, or none.

        What is not taken waits, and holds its sensor back. Cancelling loses nothing.
        """
        ...


class Sealed(msgspec.Struct, frozen=True):
    """An envelope on its way into the spool."""

    sequence: int
    handle: bytes
    observations: int
    payload: bytes
    """As it will be published, every time."""
    worth: Priority = Priority.STREAMED
    """Of the most that is in it."""


class Spooled(msgspec.Struct, frozen=True):
    """An envelope in the spool."""

    sequence: int
    payload: bytes


class Amount(msgspec.Struct, frozen=True):
    """How much went in or out."""

    envelopes: int = 0
    observations: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.envelopes + other.envelopes, self.observations + other.observations)


class Removed(msgspec.Struct, frozen=True):
    """What left the spool at once."""

    amount: Amount
    sequences: list[int]


class Shortage(enum.StrEnum):
    """Why something was given up that nobody had asked to give up."""

    BYTES = "evicted_bytes"
    """The spool holds as much as it may."""
    DISK = "evicted_disk"
    """The disk is nearly full."""
    AGE = "evicted_age"
    """It waited too long."""


class Appended(msgspec.Struct, frozen=True):
    """What left the spool when something went in."""

    evicted: Removed
    """What had to make room."""
    shortage: Shortage = Shortage.BYTES
    """Of what, if something was evicted."""


class SpoolStats(msgspec.Struct, frozen=True):
    """The spool at a glance."""

    floor: int
    """No envelope below this sequence will ever be sent (again)."""
    next_sequence: int
    depth: int
    bytes: int
    oldest_ms: int | None
    """When the oldest envelope was appended."""


class Spool(Protocol):
    """
    A queue of sealed envelopes, and the marks, that outlive the process.

    Every method that changes it is one transaction: on return it survives a power cut, on a
    SpoolError nothing happened.
    """

    @property
    def spool_id(self) -> bytes:
        """Who the spool is: random, the same for all of its envelopes."""
        ...

    def stats(self) -> SpoolStats:
        """Return the spool as its last transaction left it."""
        ...

    def take_sequence(self) -> int:
        """Return a sequence that this process was never given before, nor any envelope had."""
        ...

    async def append(
        self, envelopes: Sequence[Sealed], marks: Mapping[Checkpoint, int], *, now_ms: int
    ) -> Appended:
        """
        Keep *envelopes* and *marks*.

        When there is no room, what is worth least goes, and of that the oldest.

        Raises:
            SpoolError: Nothing was kept. The sequences are spent all the same.
        """
        ...

    def marks(self, marks: Sequence[Checkpoint]) -> dict[Checkpoint, int]:
        """Return those of *marks* that are known."""
        ...

    async def peek(self, *, after: int, limit: int, through: int = ...) -> list[Spooled]:
        """Return the envelopes above sequence *after* up to *through*, ascending."""
        ...

    async def peek_at(self, sequences: Sequence[int]) -> list[Spooled]:
        """Return those of *sequences* that are still here, ascending."""
        ...

    def settle(self, receipt: SpoolReceipt) -> None:
        """Note that what *receipt* covers may be forgotten."""
        ...

    async def forget(self) -> Removed:
        """Forget exactly what is settled."""
        ...

    async def purge_all_but(self, handles: Collection[bytes]) -> Removed:
        """Erase, beyond recovery from the file, what belongs to any other handle."""
        ...

    @property
    def has_remains(self) -> bool:
        """Whether the disk still keeps some of what was purged: another purge tries again."""
        ...

    async def evict_older_than(self, oldest_ms: int, *, now_ms: int) -> Removed:
        """Give up what was appended before *oldest_ms*."""
        ...


class Downlink(msgspec.Struct, frozen=True):
    """What came from the broker: exactly one of the two."""

    receipt: bytes | None = None
    lease: bytes | None = None


class Connection(Protocol):
    """A live connection to the broker. Every method raises BrokerError when it ends."""

    async def publish_envelope(self, payload: bytes) -> None:
        """Publish *payload*; on return the broker has it. Safe to call many times at once."""
        ...

    async def publish_state(self, payload: bytes) -> None:
        """Replace the retained state of this agent."""
        ...

    def downlinks(self) -> AsyncIterator[Downlink]:
        """Yield what comes, first what the broker retained, until the connection ends."""
        ...


class Broker(Protocol):
    """The MQTT broker."""

    def connect(self, *, will: bytes) -> AbstractAsyncContextManager[Connection]:
        """
        Connect, leaving *will* to be published as the state if the connection breaks.

        Leaving the context says goodbye, and the will is dropped.

        Raises:
            BrokerError: There is no way through.
        """
        ...

    def is_outdated(self) -> bool:
        """Tell whether we would be another to it by now: our certificate was renewed."""
        ...

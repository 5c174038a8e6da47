"""
Every outside thing of trust that needs no value of a room: keys, the broker, a clock.

The vault's protocols are in `trust.vault.protocols`, what reconciling needs of the telemetry
database in `trust.reconcile.ports`: both speak of decisions and handles, which stand above this
module.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trust.domain.pki import Holder
from trust.domain.units import Cause


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> dt.datetime:
        """Return the time now, aware."""
        ...


class Keys(Protocol):
    """
    The secrets of trust. Kept apart from the vault database and from its backups.

    A key-management service may stand behind it: then no key leaves it, and a call asks it.
    """

    @property
    def key_id(self) -> str:
        """Which signing and key-encryption keys these are; stored beside what they made."""
        ...

    def pseudonym_key(self, *, purpose: str, epoch: int = 1) -> bytes:
        """Return the pseudonym key of *purpose* in *epoch*; raise KeyFileError for none."""
        ...

    def begin_epoch(self, *, purpose: str, epoch: int) -> None:
        """Make the root key of a later *epoch*, unless it is there; on return it is durable."""
        ...

    def destroy_epoch(self, *, purpose: str, epoch: int) -> bool:
        """Destroy the root key of a later *epoch*; return whether it was there."""
        ...

    @property
    def tombstone_key(self) -> bytes:
        """The key that erased pseudonyms and handles are recognised with."""
        ...

    @property
    def witness_key(self) -> bytes:
        """The key that decisions are remembered with outside the vault."""
        ...

    def wrap(self, data_key: bytes, *, bound_to: bytes) -> bytes:
        """Return *data_key* wrapped; it unwraps only with the same *bound_to*."""
        ...

    def unwrap(self, wrapped: bytes, *, bound_to: bytes) -> bytes:
        """Return a data key; raise Tampered when it was not wrapped here for *bound_to*."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return an Ed25519 signature of *data*."""
        ...

    def verify(self, signature: bytes, data: bytes, *, what: str) -> None:
        """Return if *signature* is ours over *data*; raise Tampered, naming *what*, if not."""
        ...

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """The key that agents know trust by, for the wire to sign leases with."""
        ...

    @property
    def public_key(self) -> Ed25519PublicKey:
        """Its public half, which every agent pins."""
        ...


class SealedLease(msgspec.Struct, frozen=True):
    """A lease, signed, and sealed to its agent."""

    agent: str
    version: int
    sealed: bytes


class Channel(Protocol):
    """A connection to the broker."""

    async def publish(self, leases: Sequence[SealedLease]) -> Mapping[str, Cause]:
        """
        Have the broker retain *leases*; on return it said so of all but those returned.

        Returns:
            Why it does not take the lease of an agent: too large, or refused.

        Raises:
            BrokerUnavailable: Nothing is known of any.
        """
        ...

    async def hear(self, heard: Callable[[str, bytes], None]) -> None:
        """Call *heard* with topic and payload of states; return when the connection is lost."""
        ...


class ConnectionControl(Protocol):
    """Where clients are let in or kept out."""

    async def lets_in(self, holder: Holder) -> bool:
        """Tell whether *holder* is let in; raise BrokerUnavailable when that cannot be told."""
        ...

    async def take_over(self, agent: str, holder: Holder) -> None:
        """End the connection of *agent*, as *holder*; raise BrokerUnavailable if it may go on."""
        ...


class Broker(Protocol):
    """Where leases are published."""

    def connect(self) -> AbstractAsyncContextManager[Channel]:
        """Connect while the context is open; raise BrokerUnavailable if that fails."""
        ...

"""
Protocols of the outside world whose types no package of trust defines: keys, broker, clock.

The protocols of the vault are in `trust.vault.protocols`, those of the telemetry database in
`trust.reconcile.ports`: both use decisions and handles, which this module must not import.
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
    """A function that tells the time."""

    def __call__(self) -> dt.datetime:
        """Return the current time, with its time zone."""
        ...


class Keys(Protocol):
    """
    The secrets of trust, stored apart from the vault database and from its backups.

    A key-management service may implement this protocol.
    """

    @property
    def key_id(self) -> str:
        """The id of the signing and key-encryption keys; records store it with their signature."""
        ...

    def pseudonym_key(self, *, purpose: str, epoch: int = 1) -> bytes:
        """Return the pseudonym key of *purpose* in *epoch*; raise KeyFileError if missing."""
        ...

    def begin_epoch(self, *, purpose: str, epoch: int) -> None:
        """Create the root key of a later *epoch* unless it exists; on return it is durable."""
        ...

    def destroy_epoch(self, *, purpose: str, epoch: int) -> bool:
        """Destroy the root key of a later *epoch*; return whether it existed."""
        ...

    @property
    def tombstone_key(self) -> bytes:
        """The key of the tombstones, by which erased pseudonyms and handles are recognised."""
        ...

    @property
    def likeness_key(self) -> bytes:
        """The key of the digests by which a person is recognised who is registered already."""
        ...

    @property
    def witness_key(self) -> bytes:
        """The key of the witness, which remembers decisions outside the vault."""
        ...

    def wrap(self, data_key: bytes, *, bound_to: bytes) -> bytes:
        """Return *data_key*, wrapped; to unwrap it, the same *bound_to* is needed."""
        ...

    def unwrap(self, wrapped: bytes, *, bound_to: bytes) -> bytes:
        """Return a data key; raise Tampered unless these keys wrapped it for *bound_to*."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return an Ed25519 signature of *data*."""
        ...

    def verify(self, signature: bytes, data: bytes, *, what: str) -> None:
        """Check the *signature* of these keys over *data*; raise Tampered for *what* if wrong."""
        ...

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """The private key with which the wire signs leases."""
        ...

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The public half of the signing key, which every agent pins."""
        ...


class SealedLease(msgspec.Struct, frozen=True):
    """A signed lease, sealed to the lease key of its agent."""

    agent: str
    version: int
    sealed: bytes


class Channel(Protocol):
    """An open connection to the broker."""

    async def publish(self, leases: Sequence[SealedLease]) -> Mapping[str, Cause]:
        """
        Publish *leases* as retained messages; on return the broker has answered for each of them.

        Returns:
            By agent, why the broker does not accept its lease: too large, or refused. The broker
            confirmed all other leases.

        Raises:
            BrokerUnavailable: The connection failed: any of the leases may be missing.
        """
        ...

    async def hear(self, heard: Callable[[str, bytes], None]) -> None:
        """
        Call *heard* with topic and payload of each state.

        Raises:
            BrokerUnavailable: The connection ended, with the cause.
        """
        ...


class ConnectionControl(Protocol):
    """The broker's admission of clients, and the end of their connections."""

    async def lets_in(self, holder: Holder) -> bool:
        """Return whether the broker admits *holder*; raise BrokerUnavailable if unknown."""
        ...

    async def take_over(self, agent: str, holder: Holder) -> None:
        """
        End the connection of *agent* by a connection of *holder*.

        Raises:
            BrokerUnavailable: The connection of *agent* may still be open.
        """
        ...


class Broker(Protocol):
    """The MQTT broker to which leases are published."""

    def connect(self) -> AbstractAsyncContextManager[Channel]:
        """Connect for the time of the context; raise BrokerUnavailable if that fails."""
        ...

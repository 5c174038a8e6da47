"""
The lease in force: verified, never older than one before, kept on disk as it was received.

On disk it is as sealed as on the broker. With it an agent that restarts without a network goes on
measuring until the lease ends; and it cannot be talked into an older one, in which a person who
withdrew is still named.
"""

from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.errors import LeaseRefused, RolledBack
from runtime import files
from wire import lease as wire_lease
from wire.errors import WireError
from wire.lease import Lease

NAME: Final = "lease.sealed"
_MAX_BYTES: Final = 1 << 20
_MAX_KEPT: Final = 64
KEPT_FOR_MS: Final = 30 * 24 * 3_600_000
"""For so long after its end a lease still tells under what a stored record was measured."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    highest: int
    sealed: list[bytes]
    """As received, the newest first."""


_decoder = msgspec.msgpack.Decoder(_Kept)


class LeaseStore(Protocol):
    """Where a lease lies while the agent is off."""

    def read(self) -> bytes | None:
        """Return what was written last; None when there is nothing."""
        ...

    def write(self, data: bytes) -> None:
        """
        Replace it with *data*; on return that survives a power cut.

        Raises:
            OSError: What was there is still there.
        """
        ...


class FileLeaseStore:
    """A `LeaseStore` in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, data: bytes) -> None:
        write_durably(self._path, data)


def write_durably(path: Path, data: bytes) -> None:
    """
    Replace the file at *path* by one with *data* that only we may read, whole or not at all.

    Raises:
        OSError: What was there is still there.
    """
    files.write(path, data)


class Leases:
    """
    The lease that this agent holds. Whether it is in force is a question of time, not asked here.

    Args:
        agent: Its id.

        trust_key: Who signs.

        agent_key: Opens what is sealed to this agent.

        lease_store: Where it lies while the agent is off.
    """

    def __init__(
        self,
        *,
        agent: str,
        trust_key: Ed25519PublicKey,
        agent_key: X25519PrivateKey,
        lease_store: LeaseStore,
    ) -> None:
        self._agent = agent
        self._trust_key = trust_key
        self._agent_key = agent_key
        self._lease_store = lease_store
        self._kept = self._saved = _Kept(0, [])
        self.held: Lease | None = None
        self.past: list[Lease] = []
        """Those before it, the newest first."""

    @property
    def version(self) -> int:
        """Version of the lease that is held; 0 for none."""
        return self.held.version if self.held is not None else 0

    @property
    def is_saved(self) -> bool:
        """Whether the lease that is held is on disk."""
        return self._saved is self._kept

    def recall(self) -> None:
        """
        Take the lease from the shelf.

        Raises:
            LeaseRefused: What lies there is not readable, or not by us. None is held.
        """
        data = self._lease_store.read()
        if data is None:
            return
        try:
            kept = _decoder.decode(data)
        except msgspec.MsgspecError:
            raise LeaseRefused("the lease kept on disk is not readable") from None
        self._kept = self._saved = _Kept(kept.highest, [])
        leases = [self._decode(sealed) for sealed in kept.sealed]
        if leases:
            self.held, *self.past = leases
        self._kept = self._saved = kept

    def offer(self, sealed: bytes) -> Lease | None:
        """
        Take over the lease *sealed*; None when it is the one that is held. `save` keeps it.

        Raises:
            LeaseRefused: Not signed by trust, not for this agent, or rolled back. What was held
                before still is.
        """
        if sealed in self._kept.sealed[:1]:
            return None
        lease = self._decode(sealed)
        if lease.version < self._kept.highest:
            raise RolledBack(version=lease.version, highest=self._kept.highest)
        if lease == self.held:
            return None  # Signed or sealed anew, and the same.
        if lease.version == self._kept.highest and self.held is not None:
            raise LeaseRefused("another lease of this version was taken over before")
        self._take_over(lease, sealed)
        return lease

    def _take_over(self, lease: Lease, sealed: bytes) -> None:
        past = [] if self.held is None else [self.held, *self.past]
        kept = [
            (old, old_sealed)
            for old, old_sealed in zip(past, self._kept.sealed, strict=True)
            if old.not_after_ms > lease.issued_at_ms - KEPT_FOR_MS
        ][: _MAX_KEPT - 1]
        self.held = lease
        self.past = [old for old, _ in kept]
        self._kept = _Kept(lease.version, [sealed, *(old_sealed for _, old_sealed in kept)])

    def save(self) -> None:
        """
        Keep the lease that is held on disk.

        Apart from `offer`, because a withdrawal is obeyed even when the disk is full. May run in
        a thread of its own: a lease that is offered meanwhile is not saved yet.

        Raises:
            OSError: It is not kept; try again.
        """
        kept = self._kept
        self._lease_store.write(msgspec.msgpack.encode(kept))
        self._saved = kept

    def _decode(self, sealed: bytes) -> Lease:
        if len(sealed) > _MAX_BYTES:
            raise LeaseRefused("the lease is too large")
        try:
            return wire_lease.decode(
                sealed, agent=self._agent, trust_key=self._trust_key, agent_key=self._agent_key
            )
        except WireError as exc:
            raise LeaseRefused(f"the lease is not valid ({type(exc).__name__})") from None

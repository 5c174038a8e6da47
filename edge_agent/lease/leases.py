"""
The lease in force: verified, never older than an earlier one, saved as it was received.

On disk it is sealed as it is at the broker. With it, an agent that restarts without a network
continues to measure until the lease ends. And it cannot be made to accept an older lease, which
may still name a person who has withdrawn.
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
"""How long after its end a lease is kept, for stored records that were measured under it."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    highest: int
    sealed: list[bytes]
    """The sealed leases as received, the newest first."""


_decoder = msgspec.msgpack.Decoder(_Kept)


class LeaseStore(Protocol):
    """Keeps the lease while the agent does not run."""

    def read(self) -> bytes | None:
        """Return what was written last; None if there is nothing."""
        ...

    def write(self, data: bytes) -> None:
        """
        Replace the content by *data*. On return it survives a power cut.

        Raises:
            OSError: The old content is unchanged.
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
    Replace the file at *path* by *data*, readable by this user only, whole or not at all.

    Raises:
        OSError: The old file is unchanged.
    """
    files.write(path, data)


class Leases:
    """
    The lease that this agent holds. Whether it is in force at a given time is decided elsewhere.

    Args:
        agent: The id of this agent.

        trust_key: Verifies the signature of trust.

        agent_key: Opens what is sealed for this agent.

        lease_store: Keeps the lease while the agent does not run.
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
        """Earlier leases, the newest first."""

    @property
    def version(self) -> int:
        """The version of the lease that is held; 0 for none."""
        return self.held.version if self.held is not None else 0

    @property
    def is_saved(self) -> bool:
        """Whether the lease that is held is on disk."""
        return self._saved is self._kept

    def recall(self) -> None:
        """
        Read the lease that was saved.

        Raises:
            LeaseRefused: The saved lease cannot be read or verified. No lease is held then.
        """
        data = self._lease_store.read()
        if data is None:
            return
        try:
            kept = _decoder.decode(data)
        except msgspec.MsgspecError:
            raise LeaseRefused(
                "the lease on disk cannot be read. The agent waits for the next one"
            ) from None
        self._kept = self._saved = _Kept(kept.highest, [])
        leases = [self._decode(sealed) for sealed in kept.sealed]
        if leases:
            self.held, *self.past = leases
        self._kept = self._saved = kept

    def offer(self, sealed: bytes) -> Lease | None:
        """
        Verify the lease *sealed*, and hold it; return None if it is held already. `save` stores
        it.

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
            return None  # The same lease, signed or sealed again.
        if lease.version == self._kept.highest and self.held is not None:
            raise LeaseRefused("a different lease of the same version was accepted before")
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
        Save the lease that is held on disk.

        Apart from `offer`, because a withdrawal is obeyed even when the disk is full. May run in
        a thread of its own: a lease that is offered meanwhile is not saved yet.

        Raises:
            OSError: The lease was not saved. Try again.
        """
        kept = self._kept
        self._lease_store.write(msgspec.msgpack.encode(kept))
        self._saved = kept

    def _decode(self, sealed: bytes) -> Lease:
        if len(sealed) > _MAX_BYTES:
            raise LeaseRefused("the lease is larger than the agent accepts")
        try:
            return wire_lease.decode(
                sealed, agent=self._agent, trust_key=self._trust_key, agent_key=self._agent_key
            )
        except WireError as exc:
            raise LeaseRefused(f"the lease cannot be verified or read: {exc}") from None

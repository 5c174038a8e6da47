"""The author of one gateway's envelopes: measures under its lease, and seals. No I/O."""

import random
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from simulators.fleet.gateway.tracks import ValueTrack
from wire.envelope import Body, Envelope
from wire.lease import Lease
from wire.sealing import Sealer


class Author:
    """
    Writes the envelopes of one gateway with one person. Sends nothing.

    Args:
        agent: The id of the gateway.

        ingest_key: The public key that envelopes are sealed to.

        tracks: What the person's sensors measure, and the position in these tracks at 1970.

        skew_ms: How far the clock of the gateway is ahead, in ms.
    """

    __slots__ = (
        "_agent", "_ingest_key", "_measured_ms", "_not_after_ms", "_place", "_sealer", "_skew_ms",
        "_tracks", "handle", "lease_version", "sequence", "spool_id",
    )  # fmt: skip

    def __init__(
        self,
        agent: str,
        ingest_key: X25519PublicKey,
        *,
        tracks: tuple[Sequence[ValueTrack], int],
        skew_ms: int,
    ) -> None:
        self._agent = agent
        self._ingest_key = ingest_key
        self._tracks, self._place = tracks
        self._skew_ms = skew_ms
        self._measured_ms = 0
        self._not_after_ms = 0
        self.spool_id = random.SystemRandom().randbytes(16)
        self._sealer = self._new_sealer()
        self.sequence = 0
        """Sequence of the newest envelope; 0 for none."""
        self.handle: bytes | None = None
        """The handle that the lease permits to measure; None if it permits none."""
        self.lease_version = 0
        """Version of the lease in force; 0 for none."""

    def _new_sealer(self) -> Sealer:
        return Sealer(
            agent=self._agent,
            spool_id=self.spool_id,
            session_key=random.SystemRandom().randbytes(32),
            ingest_key=self._ingest_key,
        )

    def measure(self, due_at: float, every_s: float) -> tuple[Body | None, int]:
        """
        Return what was measured since the last call, and how many values that is.

        Args:
            due_at: The end of the measurement, in seconds since 1970 of a right clock.

            every_s: The length of the first measurement, in seconds.
        """
        until_ms = round(due_at * 1000) + self._skew_ms
        if self.handle is None or until_ms >= self._not_after_ms:
            return None, 0
        from_ms = self._measured_ms or until_ms - round(every_s * 1000)
        blocks, count = [], 0
        for track in self._tracks:
            found = track.block(from_ms, until_ms, place=self._place)
            if found is not None:
                blocks.append(found[0])
                count += found[1]
        if not blocks:
            return None, 0
        return Body(self.handle, self.lease_version, blocks), count

    def measured_until(self, due_at: float) -> None:
        """Note that everything that was measured until *due_at* is written."""
        self._measured_ms = round(due_at * 1000) + self._skew_ms

    def seal(self, body: Body) -> Envelope:
        """Return *body* sealed under the next sequence."""
        self.sequence += 1
        return self._sealer.seal(body, sequence=self.sequence)

    def forge(self, body: Body, *, sequence: int) -> Envelope:
        """Return *body* sealed under any *sequence*, with a session key of its own."""
        return self._new_sealer().seal(body, sequence=sequence)

    def obey(self, lease: Lease) -> bool:
        """Put *lease* in force; return whether it ends the handle that was measured before."""
        handle = lease.grants[0].handle if lease.grants else None
        is_ended = self.handle is not None and handle != self.handle
        self.lease_version = lease.version
        self._not_after_ms = lease.not_after_ms
        self.handle = handle
        return is_ended

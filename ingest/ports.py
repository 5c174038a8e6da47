"""Every outside thing that ingest stands on, as the role that it plays."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from ingest.admission.permissions import Changes
from ingest.admission.plan import Fate, Plan
from ingest.values.delivery import Delivery, EnvelopeId, Spool
from ingest.values.outcome import Outcome


class Receiver(Protocol):
    """Where deliveries come from and where acks and receipts go."""

    @property
    def generation(self) -> int:
        """Number of the present connection; an older delivery will come again."""
        ...

    async def receive(self) -> list[Delivery]:
        """Return what arrived since the last call, at least one delivery, in order."""
        ...

    def take(self) -> list[Delivery]:
        """Return what arrived since the last call, without waiting."""
        ...

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge *deliveries* in the order of receipt; ignore those of older connections."""
        ...

    def publish(self, topic: str, payload: bytes) -> None:
        """Have *payload* retained on *topic*, now or after the next reconnect."""
        ...

    def stop_receiving(self) -> None:
        """Take no further delivery."""
        ...


class Stored(msgspec.Struct, frozen=True, eq=False):
    """
    What a flush has committed.

    Args:
        plan: What was decided in the end: the permissions may have changed on the way.

        fates: What became of each delivery of the plan.

        committed_ms: When, ms since 1970.

        copy_s: How long COPY took.

        settled_before: Deliveries that did not open now, and that were settled before with these
            very bytes.

        unstored: Deliveries that were admitted, and of which nothing is stored, now or before.
    """

    plan: Plan
    fates: list[Fate]
    committed_ms: int
    copy_s: float
    settled_before: list[EnvelopeId] = []
    unstored: list[int] = []

    def new_spools(self) -> set[Spool]:
        """Return the spools of which something was settled that was not settled before."""
        new = (Outcome.STORED, Outcome.REFUSED)
        claims = zip(self.plan.claims, self.plan.firsts, strict=True)
        return {claim.spool for claim, index in claims if self.fates[index][0] in new}


SpoolRanges = tuple[Spool, int, list[tuple[int, int]]]
"""A spool, what it is settled through, and the settled runs above."""


class Store(Protocol):
    """Where observations rest."""

    async def open(self) -> None:
        """
        Connect.

        Raises:
            Unavailable: Not now.
            Unusable: Never.
        """
        ...

    async def read_spools(self, spools: Iterable[Spool]) -> list[SpoolRanges]:
        """
        Return what is settled of each of *spools*.

        Raises:
            Unavailable: Not now.
            Unusable: Never.
        """
        ...

    async def flush(
        self,
        plan: Plan,
        *,
        watermarks: list[tuple[str, bytes, int]],
        replan: Callable[[Changes], Plan],
    ) -> Stored:
        """
        Commit *plan* in one transaction, which excludes every withdrawal.

        Called again with the same plan after Unavailable, it commits it once all the same.

        Args:
            plan: What to write.

            watermarks: Spools with what they are settled through.

            replan: Called inside the transaction when the permissions are newer than the plan.

        Raises:
            Unavailable: Not now; whether it was committed is found out by the next call.
            Poisoned: Something in it cannot be written; nothing was.
            Undecided: *replan* raised it; nothing was written.
            Unusable: Never.
        """
        ...

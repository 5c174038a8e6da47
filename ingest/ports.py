"""The ports of ingest: a protocol for each outside system that it uses."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from ingest.admission.permissions import Changes
from ingest.admission.plan import Fate, Plan
from ingest.values.delivery import Delivery, EnvelopeId, Spool
from ingest.values.outcome import Outcome


class Receiver(Protocol):
    """The broker: the source of deliveries, and the way of acks and receipts."""

    @property
    def generation(self) -> int:
        """Number of the present connection; the broker resends deliveries of older ones."""
        ...

    async def receive(self) -> list[Delivery]:
        """Wait for deliveries; return all that arrived since the last call, in order."""
        ...

    def take(self) -> list[Delivery]:
        """Return the deliveries that arrived since the last call, without waiting."""
        ...

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge *deliveries* in the order of receipt; ignore those of older connections."""
        ...

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish *payload* on *topic* as a retained message, now or after a reconnect."""
        ...

    def stop_receiving(self) -> None:
        """Take no further deliveries; the broker keeps them."""
        ...


class Stored(msgspec.Struct, frozen=True, eq=False):
    """
    The result of a committed flush.

    Args:
        plan: The plan that was written; permissions may have changed since the first plan.

        fates: (envelopes,) The fate of each delivery of the plan.

        committed_ms: Time of the COMMIT, ms since 1970.

        copy_s: Duration of COPY.

        settled_before: Identities of deliveries that no key opens now, and that were settled
            earlier with the same bytes.

        unstored: Envelope indexes of admitted deliveries of which nothing is stored.
    """

    plan: Plan
    fates: list[Fate]
    committed_ms: int
    copy_s: float
    settled_before: list[EnvelopeId] = []
    unstored: list[int] = []

    def new_spools(self) -> set[Spool]:
        """Return the spools of which this flush settled an envelope for the first time."""
        new = (Outcome.STORED, Outcome.REFUSED)
        claims = zip(self.plan.claims, self.plan.firsts, strict=True)
        return {claim.spool for claim, index in claims if self.fates[index][0] in new}


SpoolRanges = tuple[Spool, int, list[tuple[int, int]]]
"""
A spool, the sequence through which all is settled, and the settled runs above it, each as its
first and last sequence.
"""


class Store(Protocol):
    """The database of observations and the ledger of envelopes."""

    async def open(self) -> None:
        """
        Connect.

        Raises:
            Unavailable: The database cannot be reached now.
            Unusable: The database is set up wrongly.
        """
        ...

    async def read_spools(self, spools: Iterable[Spool]) -> list[SpoolRanges]:
        """
        Return the settled sequences of each of *spools*.

        Raises:
            Unavailable: The database cannot be reached now.
            Unusable: The database is set up wrongly.
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
        Commit *plan* in one transaction that excludes withdrawals of consent.

        Idempotent: a call with the same plan after Unavailable commits the plan only once.

        Args:
            plan: What to write.

            watermarks: Agent, spool id, and the sequence through which all is settled.

            replan: Called inside the transaction if the permissions are newer than the plan.

        Raises:
            Unavailable: The database cannot be reached now. Whether the plan was committed is
                found out by the next call.
            Poisoned: An envelope cannot be written; nothing was written.
            Undecided: *replan* raised it; nothing was written.
            Unusable: The database is set up wrongly.
        """
        ...

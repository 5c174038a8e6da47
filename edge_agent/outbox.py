"""
What to publish next, and what again. Pure: sequences and times, no envelopes.

Not the broker's acknowledgement ends the life of an envelope but ingest's receipt. So envelopes
are published in order, at most so many ahead of the receipts; all of those again after a
reconnect; and again without one when they were probably lost.
"""

import msgspec

from wire.receipt import SpoolReceipt


class Limits(msgspec.Struct, frozen=True):
    """How far to run ahead of the receipts."""

    max_unsettled: int = 512
    resend_after_s: float = 30.0


class Outbox:
    """
    The envelopes that were published and not settled.

    Lost is what was published before something that is settled by now, for the way to ingest
    keeps the order. When nothing at all is settled, ingest is more likely to be down than the
    broker to have lost everything: then the oldest envelope alone is published again, to ask.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._published: dict[int, float] = {}
        self._settled_publication = float("-inf")
        self._last = 0

    def __len__(self) -> int:
        return len(self._published)

    @property
    def last(self) -> int:
        """Highest sequence published over this connection: what is above it is new."""
        return self._last

    @property
    def room(self) -> int:
        """How many more may be published now."""
        return max(0, self._limits.max_unsettled - len(self._published))

    def connected(self) -> None:
        """Begin anew: over a new connection everything is to be published again."""
        self._published.clear()
        self._settled_publication = float("-inf")
        self._last = 0

    def published(self, sequence: int, *, now: float) -> None:
        """Note that *sequence* is on its way, for the first time or again."""
        self._published[sequence] = now
        self._last = max(self._last, sequence)

    def settled(self, receipt: SpoolReceipt) -> None:
        """Note what *receipt* covers."""
        covered = [sequence for sequence in self._published if receipt.covers(sequence)]
        for sequence in covered:
            published_at = self._published.pop(sequence)
            self._settled_publication = max(self._settled_publication, published_at)

    def drop(self, sequences: list[int]) -> None:
        """Note that *sequences* are gone from the spool."""
        for sequence in sequences:
            self._published.pop(sequence, None)

    def lost(self, *, now: float) -> list[int]:
        """Return what is to be published again, ascending."""
        overdue = now - self._limits.resend_after_s
        oldest = min(self._published, default=None)
        return sorted(
            sequence
            for sequence, published_at in self._published.items()
            if published_at <= overdue
            and (sequence == oldest or published_at < self._settled_publication)
        )

    def due_in_s(self, *, now: float) -> float | None:
        """Return when to ask for `lost` again; None when nothing is on its way."""
        if not self._published:
            return None
        waits = [at + self._limits.resend_after_s - now for at in self._published.values()]
        # Those that are overdue and not lost wait for a receipt, or for the oldest to be asked.
        return min((wait for wait in waits if wait > 0), default=self._limits.resend_after_s)

"""
Decides which envelope to publish next, and which again. Pure: sequences and times, no envelopes.

An envelope is settled by the receipt of ingest, not by the broker's acknowledgement. Envelopes are
published in order, with a bounded number ahead of the receipts. After a reconnect all unsettled
ones are published again, and those that were probably lost also without a reconnect.

Envelopes that were in the spool before a connection began are its backlog. New envelopes go first:
the backlog is published at a limited rate, and never uses all of the window.

Some envelopes never get a receipt, for instance when ingest has lost the key that opens them. An
envelope that was overtaken twice is set aside: it uses no room, and is published again rarely.
"""

import itertools
from collections.abc import Iterable
from typing import Final

import msgspec

from wire.receipt import SpoolReceipt

_PACE_S: Final = 0.1
"""How often more of the backlog is published, in seconds."""
_MOST_ASIDE: Final = 2048
"""How many envelopes set aside are remembered; others wait for the next connection."""
_ASIDE_AT_ONCE: Final = 16
"""How many of those are published again in each `resend_after_s`."""


class OutboxLimits(msgspec.Struct, frozen=True):
    """How many envelopes may be without a receipt, and when to publish again."""

    max_unsettled: int = 512
    resend_after_s: float = 30.0
    backlog_per_s: float = 200.0
    """Envelopes of the backlog, each second."""


class Outbox:
    """
    The envelopes that were published and not settled.

    An envelope counts as lost if one that was published later is settled, because the path to
    ingest preserves the order. If nothing is settled, ingest is probably down. Then two envelopes
    are published again as a probe: the one that has waited longest, so that each has its turn, and
    the newest one, which is sealed for the current key.
    """

    def __init__(self, limits: OutboxLimits) -> None:
        self.limits = limits
        """May be replaced at any time."""
        self._published: dict[int, float] = {}
        self._again: set[int] = set()
        self._aside: dict[int, None] = {}
        self._aside_at = float("-inf")
        self._asked_at = float("-inf")
        self._settled_publication = float("-inf")
        self._last = 0
        self._behind = 0
        self._backlog_through = 0
        self._paced_from = float("-inf")

    def __len__(self) -> int:
        return len(self._published)

    @property
    def last(self) -> int:
        """The highest sequence published over this connection."""
        return self._last

    @property
    def backlog(self) -> tuple[int, int] | None:
        """The rest of the backlog as (after, through) in sequences; None if there is none."""
        waits = self._behind < self._backlog_through
        return (self._behind, self._backlog_through) if waits else None

    @property
    def room(self) -> int:
        """How many more may be published now."""
        return max(0, self.limits.max_unsettled - len(self._published))

    def backlog_room(self, *, now: float) -> int:
        """Return how many more of the backlog may be published *now*."""
        if self.backlog is None:
            return 0
        # At most one second of the rate may be saved up.
        self._paced_from = max(self._paced_from, now - 1.0)
        allowed = int((now - self._paced_from) * self.limits.backlog_per_s)
        reserve = self.limits.max_unsettled // 4
        return max(0, min(self.room - reserve, allowed))

    def connected(self, *, backlog_through: int = 0) -> None:
        """
        Start again: over a new connection, everything has to be published again.

        Args:
            backlog_through: The highest sequence of the backlog.
        """
        self._published.clear()
        self._again.clear()
        self._settled_publication = float("-inf")
        self._last = backlog_through
        self._behind = 0
        self._backlog_through = backlog_through

    def backlog_done(self) -> None:
        """Note that the whole backlog was published or removed."""
        self._behind = self._backlog_through

    def published(self, sequence: int, *, now: float) -> None:
        """Note that *sequence* is on its way, for the first time or again."""
        if sequence in self._aside:
            # Move it to the end of the queue.
            del self._aside[sequence]
            self._aside[sequence] = None
            self._aside_at = now
        else:
            before = self._published.get(sequence)
            if before is not None:
                self._asked_at = now
                if before < self._settled_publication:
                    self._again.add(sequence)
            self._published[sequence] = now
        self._last = max(self._last, sequence)
        if self._behind < sequence <= self._backlog_through:
            self._behind = sequence
            self._paced_from += 1 / self.limits.backlog_per_s

    def settled(self, receipt: SpoolReceipt) -> None:
        """Remove the envelopes that *receipt* covers."""
        covered = [sequence for sequence in self._published if receipt.covers(sequence)]
        for sequence in covered:
            published_at = self._published.pop(sequence)
            self._again.discard(sequence)
            self._settled_publication = max(self._settled_publication, published_at)
        for sequence in [sequence for sequence in self._aside if receipt.covers(sequence)]:
            del self._aside[sequence]

    def drop(self, sequences: list[int]) -> None:
        """Note that *sequences* were removed from the spool."""
        for sequence in sequences:
            self._published.pop(sequence, None)
            self._aside.pop(sequence, None)
            self._again.discard(sequence)

    def lost(self, *, now: float) -> list[int]:
        """Return the sequences to publish again, ascending; set hopeless ones aside."""
        overdue = now - self.limits.resend_after_s
        late = [sequence for sequence, at in self._published.items() if at <= overdue]
        overtaken = [s for s in late if self._published[s] < self._settled_publication]
        again = [sequence for sequence in overtaken if sequence not in self._again]
        if late and not overtaken and self._asked_at <= overdue:
            again += {min(late, key=self._published.__getitem__), max(late)}
        if self._aside_at <= overdue:
            again += itertools.islice(self._aside, _ASIDE_AT_ONCE)
        self._put_aside(self._again.intersection(overtaken))
        return sorted(again)

    def _put_aside(self, sequences: Iterable[int]) -> None:
        for sequence in sorted(sequences):
            del self._published[sequence]
            self._again.discard(sequence)
            self._aside[sequence] = None
        while len(self._aside) > _MOST_ASIDE:
            del self._aside[next(iter(self._aside))]

    def due_in_s(self, *, now: float) -> float | None:
        """Return in how many seconds to call `lost` or publish backlog; None if nothing waits."""
        paced = [_PACE_S] if self.backlog is not None and self.room else []
        if self._aside:
            paced.append(max(0.0, self._aside_at + self.limits.resend_after_s - now))
        if not self._published:
            return min(paced, default=None)
        waits = [at + self.limits.resend_after_s - now for at in self._published.values()]
        # Overdue envelopes that are not lost wait for a receipt, or for the next probe.
        ahead = min((wait for wait in waits if wait > 0), default=self.limits.resend_after_s)
        return min([ahead, *paced])

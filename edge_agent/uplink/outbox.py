"""
What to publish next, and what again. Pure: sequences and times, no envelopes.

Not the broker's acknowledgement ends the life of an envelope but ingest's receipt. So envelopes
are published in order, at most so many ahead of the receipts; all of those again after a
reconnect; and again without one when they were probably lost.

What had piled up before a connection began is its backlog. It stands back behind what is fresh:
it goes at a bounded pace, and never takes all the room.

Some envelopes never get a receipt: ingest has lost the key that opens them, for instance. One that
was overtaken twice is set aside. It takes no room any more, and is published again only in turn.
"""

import itertools
from collections.abc import Iterable
from typing import Final

import msgspec

from wire.receipt import SpoolReceipt

_PACE_S: Final = 0.1
"""How often more of the backlog is looked for."""
_MOST_ASIDE: Final = 2048
"""So many set aside are remembered; the others wait for the next connection."""
_ASIDE_AT_ONCE: Final = 16
"""So many of them are published again each time that a receipt is waited for."""


class OutboxLimits(msgspec.Struct, frozen=True):
    """How far to run ahead of the receipts."""

    max_unsettled: int = 512
    resend_after_s: float = 30.0
    backlog_per_s: float = 200.0
    """Of what had piled up."""


class Outbox:
    """
    The envelopes that were published and not settled.

    Lost is what was published before something that is settled by now, for the way to ingest
    keeps the order. When nothing at all is settled, ingest is more likely to be down than the
    broker to have lost everything: then two envelopes are published again, to ask. One is the one
    that waits longest, so that each has its turn; one is the newest, which is sealed to the key
    that is in use.
    """

    def __init__(self, limits: OutboxLimits) -> None:
        self.limits = limits
        """May be set anew at any time."""
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
        """Highest sequence published over this connection: what is above it is new."""
        return self._last

    @property
    def backlog(self) -> tuple[int, int] | None:
        """Above which sequence and through which one the backlog goes on; None without one."""
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
        # A second's worth at most may have been saved up.
        self._paced_from = max(self._paced_from, now - 1.0)
        allowed = int((now - self._paced_from) * self.limits.backlog_per_s)
        reserve = self.limits.max_unsettled // 4
        return max(0, min(self.room - reserve, allowed))

    def connected(self, *, backlog_through: int = 0) -> None:
        """
        Begin anew: over a new connection everything is to be published again.

        Args:
            backlog_through: What up to this sequence is still there stands back.
        """
        self._published.clear()
        self._again.clear()
        self._settled_publication = float("-inf")
        self._last = backlog_through
        self._behind = 0
        self._backlog_through = backlog_through

    def backlog_done(self) -> None:
        """Note that all of the backlog was published, or is gone."""
        self._behind = self._backlog_through

    def published(self, sequence: int, *, now: float) -> None:
        """Note that *sequence* is on its way, for the first time or again."""
        if sequence in self._aside:
            # To the end of the line.
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
        """Note what *receipt* covers."""
        covered = [sequence for sequence in self._published if receipt.covers(sequence)]
        for sequence in covered:
            published_at = self._published.pop(sequence)
            self._again.discard(sequence)
            self._settled_publication = max(self._settled_publication, published_at)
        for sequence in [sequence for sequence in self._aside if receipt.covers(sequence)]:
            del self._aside[sequence]

    def drop(self, sequences: list[int]) -> None:
        """Note that *sequences* are gone from the spool."""
        for sequence in sequences:
            self._published.pop(sequence, None)
            self._aside.pop(sequence, None)
            self._again.discard(sequence)

    def lost(self, *, now: float) -> list[int]:
        """Return what is to be published again, ascending; set aside what never gets a receipt."""
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
        """Return when to ask again for `lost` or the backlog; None when there is nothing to."""
        paced = [_PACE_S] if self.backlog is not None and self.room else []
        if self._aside:
            paced.append(max(0.0, self._aside_at + self.limits.resend_after_s - now))
        if not self._published:
            return min(paced, default=None)
        waits = [at + self.limits.resend_after_s - now for at in self._published.values()]
        # Those that are overdue and not lost wait for a receipt, or for the oldest to be asked.
        ahead = min((wait for wait in waits if wait > 0), default=self.limits.resend_after_s)
        return min([ahead, *paced])

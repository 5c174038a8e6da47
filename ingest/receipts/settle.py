"""
The settled sequences of each spool, and when an agent gets a receipt. Pure: times are passed in.

A sequence is settled when its outcome is committed, or when the agent has proven that it will
never send the sequence again. A receipt reports every spool of an agent with recent activity.
"""

import itertools
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator

from ingest.values.delivery import EnvelopeId, Spool
from wire.envelope import MAX_SEQUENCE
from wire.receipt import MAX_RANGES, MAX_SPOOLS, SpoolReceipt

_MAX_RUNS = 8 * MAX_RANGES
"""
Limit of runs remembered for each spool, many more than a receipt can report: an agent that skips
every other sequence cannot exhaust memory. If a sequence below arrives again, the ledger decides.
"""

_MAX_RECENT = 512
"""Number of recently settled sequences that are remembered for each spool."""

_HIGHEST = MAX_RANGES // 4
"""Number of the highest runs that a receipt always reports."""

_WATERMARK_EVERY = 64
"""Sequences between two watermarks in the database; a restart reads so many ledger rows."""


class Ranges:
    """The settled sequences of a spool: all through one, and the highest runs above it."""

    __slots__ = ("_recent", "_runs", "marked", "through")

    def __init__(self, through: int = 0, runs: Iterable[tuple[int, int]] = ()) -> None:
        self.through = through
        self.marked = through
        """The watermark in the database: the sequence up to which the ledger need not be read."""
        self._runs: list[tuple[int, int]] = []
        self._recent: deque[int] | None = None
        for first, last in sorted(runs):
            self._add_run(first, last)
        self._absorb()
        del self._runs[:-_MAX_RUNS]

    def add(self, sequence: int) -> None:
        """Add *sequence* to the settled sequences."""
        if sequence == self.through + 1 and not self._runs:
            self.through = sequence
        elif sequence > self.through:
            self._add_run(sequence, sequence)
            self._absorb()
            if len(self._runs) > _MAX_RUNS:
                # Drop the lowest run, but never the one just added: its agent waits for a receipt.
                del self._runs[1 if sequence <= self._runs[0][1] else 0]
            if len(self._runs) > MAX_RANGES:
                self._note_recent(sequence)

    def _note_recent(self, sequence: int) -> None:
        """Remember that *sequence* was settled last, because a receipt cannot report all runs."""
        if self._recent is None:
            self._recent = deque(maxlen=_MAX_RECENT)
        self._recent.append(sequence)

    def covers(self, sequence: int) -> bool:
        """Return whether *sequence* is known to be settled."""
        if sequence <= self.through:
            return True
        index = bisect_right(self._runs, (sequence, MAX_SEQUENCE)) - 1
        return index >= 0 and sequence <= self._runs[index][1]

    def raise_to(self, through: int) -> bool:
        """Settle all sequences up to and including *through*; return whether that is new."""
        if through <= self.through:
            return False
        self.through = through
        self._absorb()
        return True

    def runs(self, limit: int | None = None) -> list[tuple[int, int]]:
        """
        Return at most *limit* settled runs above `through`, ascending and not adjacent.

        If there are more, the result has the highest runs and those with the most recently settled
        sequences, as in TCP SACK (RFC 2018, section 4). An agent thus learns that an envelope is
        settled soon after it was sent, no matter how many sequences are missing.
        """
        if limit is None or len(self._runs) <= limit:
            return list(self._runs)
        found = dict.fromkeys(range(len(self._runs) - _HIGHEST, len(self._runs)))
        for index in itertools.chain(self._latest(), reversed(range(len(self._runs)))):
            if len(found) >= limit:
                break
            found[index] = None
        return [self._runs[index] for index in sorted(found)]

    def _latest(self) -> Iterator[int]:
        """Yield the indexes of the runs with recently settled sequences, the latest first."""
        for sequence in reversed(self._recent or ()):
            index = bisect_right(self._runs, (sequence, MAX_SEQUENCE)) - 1
            if index >= 0 and sequence <= self._runs[index][1]:
                yield index

    def _add_run(self, first: int, last: int) -> None:
        """Insert a run, merged with the runs that overlap or adjoin it."""
        begin = bisect_right(self._runs, (first - 1, -1))
        if begin and self._runs[begin - 1][1] >= first - 1:
            begin -= 1
        end = begin
        while end < len(self._runs) and self._runs[end][0] <= last + 1:
            first = min(first, self._runs[end][0])
            last = max(last, self._runs[end][1])
            end += 1
        self._runs[begin:end] = [(first, last)]

    def _absorb(self) -> None:
        """Extend `through` by the runs that adjoin it."""
        absorbed = 0
        for first, last in self._runs:
            if first > self.through + 1:
                break
            self.through = max(self.through, last)
            absorbed += 1
        del self._runs[:absorbed]


class Settlements:
    """
    The settled ranges of all spools with recent activity, and the receipts that are due.

    Args:
        interval_s: Least time between two receipts to one agent; the first is due at once.

        max_spools: Limit of spools in memory. The least recently used spool is dropped, and loaded
            from the database when an envelope of it arrives.
    """

    def __init__(self, *, interval_s: float, max_spools: int = 200_000) -> None:
        self._interval_s = interval_s
        self._max_spools = max_spools
        self._ranges: OrderedDict[Spool, Ranges] = OrderedDict()
        self._by_agent: dict[str, OrderedDict[bytes, None]] = {}
        self._owed: dict[str, float] = {}
        self._told: OrderedDict[str, float] = OrderedDict()

    def unknown(self, spools: Iterable[Spool]) -> set[Spool]:
        """Return those of *spools* that must be loaded from the database first."""
        # Not a difference of sets: that would visit every spool in memory.
        return {spool for spool in spools if spool not in self._ranges}

    def covers(self, identities: Iterable[EnvelopeId]) -> list[bool]:
        """Return, for each of *identities*, whether it is known here to be settled."""
        found = []
        spool, ranges = None, None
        for identity in identities:
            if identity.spool is not spool:
                spool = identity.spool
                ranges = self._ranges.get(spool)
            found.append(ranges is not None and ranges.covers(identity.sequence))
        return found

    def load(self, spool: Spool, through: int, runs: Iterable[tuple[int, int]]) -> None:
        """Take the settled ranges of *spool* from the database, unless it is loaded already."""
        if spool in self._ranges:
            # Two flushes have read it. Sequences settled since the first read must stay settled.
            return
        self._ranges[spool] = Ranges(through, runs)
        self._by_agent.setdefault(spool[0], OrderedDict())[spool[1]] = None
        while len(self._ranges) > self._max_spools:
            self._forget(next(iter(self._ranges)))

    def _forget(self, spool: Spool) -> None:
        del self._ranges[spool]
        spools = self._by_agent[spool[0]]
        del spools[spool[1]]
        if not spools:
            del self._by_agent[spool[0]]

    def settle(self, identities: Iterable[EnvelopeId], *, now: float) -> Collection[Spool]:
        """
        Settle *identities*, whose outcome is committed; a receipt to each of their agents is due.

        Returns:
            The loaded spools among those of *identities*.
        """
        touched: dict[Spool, None] = {}
        # The identities of a flush are sorted: those of a spool follow one another.
        spool, ranges = None, None
        for identity in identities:
            if identity.spool is not spool:
                spool = identity.spool
                ranges = self._ranges.get(spool)
                if ranges is not None:
                    touched[spool] = None
            # None if the spool was dropped since it was loaded. Its next delivery loads it again.
            if ranges is not None:
                ranges.add(identity.sequence)
        # In the order of arrival, so that the order of use is deterministic.
        for spool in touched:
            self._ranges.move_to_end(spool)
            if len(spools := self._by_agent[spool[0]]) > 1:
                spools.move_to_end(spool[1])
            self._owe(spool[0], now)
        return touched

    def is_behind(self, spool: Spool, floor: int) -> bool | None:
        """Return whether *spool* is settled less far than *floor*; None if it is not loaded."""
        ranges = self._ranges.get(spool)
        return None if ranges is None else ranges.through < floor - 1

    def raise_floor(self, spool: Spool, floor: int, *, now: float) -> None:
        """Settle all sequences of *spool* below *floor*, which its agent will never send again."""
        ranges = self._ranges.get(spool)
        if ranges is not None and ranges.raise_to(floor - 1):
            self._owe(spool[0], now)

    def owe(self, agents: Iterable[str], *, now: float) -> None:
        """Make a receipt due to each of *agents* with a loaded spool, although nothing is new."""
        for agent in agents:
            if agent in self._by_agent:
                self._owe(agent, now)

    def _owe(self, agent: str, now: float) -> None:
        if agent not in self._owed:
            told_at = self._told.get(agent)
            self._owed[agent] = now if told_at is None else max(now, told_at + self._interval_s)

    def due_in_s(self, *, now: float) -> float | None:
        """Return the time until the next receipt is due, s; None if there is none."""
        return max(0.0, min(self._owed.values()) - now) if self._owed else None

    def take_due(
        self, *, now: float, everything: bool = False
    ) -> list[tuple[str, list[SpoolReceipt]]]:
        """Return the agents whose receipts are due now, each with the contents of its receipt."""
        due = [agent for agent, at in self._owed.items() if everything or at <= now]
        taken = []
        for agent in due:
            del self._owed[agent]
            self._told[agent] = now
            self._told.move_to_end(agent)
            taken.append((agent, self._receipt(agent)))
        while self._told and now - next(iter(self._told.values())) > self._interval_s:
            self._told.popitem(last=False)
        return taken

    def _receipt(self, agent: str) -> list[SpoolReceipt]:
        recent = list(self._by_agent.get(agent, ()))[-MAX_SPOOLS:]
        spools = []
        for spool_id in reversed(recent):
            ranges = self._ranges[agent, spool_id]
            spools.append(SpoolReceipt(spool_id, ranges.through, ranges.runs(MAX_RANGES)))
        return spools

    def watermarks(self, spools: Iterable[Spool]) -> list[tuple[str, bytes, int]]:
        """Return agent, spool id and sequence of each watermark that is worth writing."""
        found = []
        for spool in spools:
            ranges = self._ranges.get(spool)
            if ranges is not None and ranges.through >= ranges.marked + _WATERMARK_EVERY:
                found.append((*spool, ranges.through))
        return sorted(found)

    def marked(self, watermarks: Iterable[tuple[str, bytes, int]]) -> None:
        """Note that *watermarks* are committed."""
        for agent, spool_id, through in watermarks:
            if (ranges := self._ranges.get((agent, spool_id))) is not None:
                ranges.marked = through

"""
What is settled of each spool, and whom to tell when. Pure: the clock is passed in.

Only what is committed is settled, or what its agent has proven that it will never send again. A
receipt names every spool of an agent with recent activity.
"""

import itertools
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator

from ingest.values.delivery import EnvelopeId, Spool
from wire.receipt import MAX_RANGES, MAX_SPOOLS, SpoolReceipt

_NO_SEQUENCE = 1 << 63
"""Above every sequence."""

_MAX_RUNS = 8 * MAX_RANGES
"""
How many runs of a spool are remembered, many more than a receipt tells: an agent that leaves out
each second sequence fills no memory. What is below is asked of the ledger when it comes again.
"""

_TOUCHED = 512
"""How many sequences are remembered as those that came last."""

_HIGHEST = MAX_RANGES // 4
"""How many of the highest runs a receipt tells in any case."""

_WATERMARK_EVERY = 64
"""How far a spool moves on before the database is told; a restart reads that many ledger rows."""


class Ranges:
    """Sequences that are settled: all through one, and runs above it, of which the last."""

    __slots__ = ("_runs", "_touched", "marked", "through")

    def __init__(self, through: int = 0, runs: Iterable[tuple[int, int]] = ()) -> None:
        self.through = through
        self.marked = through
        """Through which the database knows it without reading the ledger."""
        self._runs: list[tuple[int, int]] = []
        self._touched: deque[int] | None = None
        for first, last in sorted(runs):
            self._add_run(first, last)
        self._absorb()
        del self._runs[:-_MAX_RUNS]

    def add(self, sequence: int) -> None:
        """Settle *sequence*."""
        if sequence == self.through + 1 and not self._runs:
            self.through = sequence
        elif sequence > self.through:
            self._add_run(sequence, sequence)
            self._absorb()
            if len(self._runs) > _MAX_RUNS:
                # The lowest, but never what came just now: its agent waits to be told.
                del self._runs[1 if sequence <= self._runs[0][1] else 0]
            if len(self._runs) > MAX_RANGES:
                self._touch(sequence)

    def _touch(self, sequence: int) -> None:
        """Note that *sequence* came last, because a receipt cannot tell everything."""
        if self._touched is None:
            self._touched = deque(maxlen=_TOUCHED)
        self._touched.append(sequence)

    def covers(self, sequence: int) -> bool:
        """Tell whether *sequence* is settled."""
        if sequence <= self.through:
            return True
        place = bisect_right(self._runs, (sequence, _NO_SEQUENCE)) - 1
        return place >= 0 and sequence <= self._runs[place][1]

    def raise_to(self, through: int) -> bool:
        """Settle all sequences through this one; tell whether that is news."""
        if through <= self.through:
            return False
        self.through = through
        self._absorb()
        return True

    def runs(self, limit: int | None = None) -> list[tuple[int, int]]:
        """
        Return *limit* settled runs above `through`, ascending and apart.

        Of more than that, those in which something came last, as in SACK (RFC 2018), and the
        highest. What an agent sends, for the first time or again, is told to it then, however many
        holes it has left.
        """
        if limit is None or len(self._runs) <= limit:
            return list(self._runs)
        found = dict.fromkeys(range(len(self._runs) - _HIGHEST, len(self._runs)))
        for place in itertools.chain(self._latest(), reversed(range(len(self._runs)))):
            if len(found) >= limit:
                break
            found[place] = None
        return [self._runs[place] for place in sorted(found)]

    def _latest(self) -> Iterator[int]:
        """Yield the places of the runs in which something came, the last first."""
        for sequence in reversed(self._touched or ()):
            place = bisect_right(self._runs, (sequence, _NO_SEQUENCE)) - 1
            if place >= 0 and sequence <= self._runs[place][1]:
                yield place

    def _add_run(self, first: int, last: int) -> None:
        """Put a run among the others, joined with those that it touches."""
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
        """Let `through` swallow the runs that it has reached."""
        swallowed = 0
        for first, last in self._runs:
            if first > self.through + 1:
                break
            self.through = max(self.through, last)
            swallowed += 1
        del self._runs[:swallowed]


class Settlements:
    """
    The settled ranges of every spool that was heard of lately, and the receipts that are owed.

    Args:
        interval_s: Least time between two receipts of one agent; the first goes out at once.

        max_spools: How many spools to keep in memory; the least recently used is forgotten, and
            read from the database when it is heard of again.
    """

    def __init__(self, *, interval_s: float, max_spools: int = 200_000) -> None:
        self._interval_s = interval_s
        self._max_spools = max_spools
        self._ranges: OrderedDict[Spool, Ranges] = OrderedDict()
        self._by_agent: dict[str, OrderedDict[bytes, None]] = {}
        self._owed: dict[str, float] = {}
        self._told: OrderedDict[str, float] = OrderedDict()

    def unknown(self, spools: Iterable[Spool]) -> set[Spool]:
        """Return those of *spools* that must be read from the database first."""
        # Asked one by one: a set less the keys would walk over every spool that is known.
        return {spool for spool in spools if spool not in self._ranges}

    def covers(self, identities: Iterable[EnvelopeId]) -> list[bool]:
        """Tell of each of *identities* whether it is settled, as far as is known here."""
        found = []
        for identity in identities:
            ranges = self._ranges.get(identity.spool)
            found.append(ranges is not None and ranges.covers(identity.sequence))
        return found

    def load(self, spool: Spool, through: int, runs: Iterable[tuple[int, int]]) -> None:
        """Take over what the database knows of *spool*, unless it is known already."""
        if spool in self._ranges:
            # Read for two flushes at once: what was settled since the first must not be unsettled.
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
        Settle *identities*, whose outcome is committed; owe their agents a receipt.

        Returns:
            The spools that they are of.
        """
        touched: dict[Spool, None] = {}
        for identity in identities:
            spool = identity.spool
            ranges = self._ranges.get(spool)
            # None: forgotten since it was loaded. The next delivery of it loads it again.
            if ranges is not None:
                ranges.add(identity.sequence)
                touched[spool] = None
        # In the order of arrival, so that a run is like another; who was heard of in one flush was
        # heard of at one time.
        for spool in touched:
            self._ranges.move_to_end(spool)
            if len(spools := self._by_agent[spool[0]]) > 1:
                spools.move_to_end(spool[1])
            self._owe(spool[0], now)
        return touched

    def is_behind(self, spool: Spool, floor: int) -> bool | None:
        """Tell whether *spool* is settled up to *floor* or less; None when it is not known."""
        ranges = self._ranges.get(spool)
        return None if ranges is None else ranges.through < floor - 1

    def raise_floor(self, spool: Spool, floor: int, *, now: float) -> None:
        """Settle what the agent of *spool* will never send again: all below *floor*."""
        ranges = self._ranges.get(spool)
        if ranges is not None and ranges.raise_to(floor - 1):
            self._owe(spool[0], now)

    def owe(self, agents: Iterable[str], *, now: float) -> None:
        """Owe each of *agents* a receipt although nothing more was settled, if there is any."""
        for agent in agents:
            if agent in self._by_agent:
                self._owe(agent, now)

    def _owe(self, agent: str, now: float) -> None:
        if agent not in self._owed:
            told_at = self._told.get(agent)
            self._owed[agent] = now if told_at is None else max(now, told_at + self._interval_s)

    def due_in_s(self, *, now: float) -> float | None:
        """Return how long until a receipt is due; None when none is owed."""
        return max(0.0, min(self._owed.values()) - now) if self._owed else None

    def take_due(
        self, *, now: float, everything: bool = False
    ) -> list[tuple[str, list[SpoolReceipt]]]:
        """Return each agent to be told now, with what its receipt is to tell."""
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
        """Return those of *spools* that moved on far enough to be written down."""
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

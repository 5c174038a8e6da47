"""
At most one observation of a series in each interval of its policy, in any order of arrival. Pure.

`conform` checks the policy inside one block. This module compares blocks of one series: blocks of
one envelope or of several in a flush, under one handle or two, and blocks admitted earlier. A
block is kept or refused as a whole. What was admitted earlier stays. The blocks of a flush are
considered in the order of their first times, then in the order of arrival; a block is kept if no
interval of it holds an observation of a block that was kept before. An interval of 1 ms means that
the policy sets no interval. The index spaces are those of `ingest.admission`.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.columns import Bools, Columns, Ints
from ingest.admission.last_readings import Claim, Readings, Reservation
from ingest.admission.pair_index import Words

Table = NDArray[np.void]


class IntervalConflicts(msgspec.Struct, frozen=True, eq=False):
    """
    Finds the blocks of a flush that put two observations of a series into one interval.

    Args:
        columns: The observations of all blocks.

        rules: (blocks,) The rules, as `Permissions.rules` returns them.

        oldest_ms: (blocks,) Time of the first observation, missing or not, ms since 1970.

        newest_ms: (blocks,) Time of the last observation, missing or not, ms since 1970.

        arrivals: (blocks,) Arrival index.

        owners: (blocks,) Hash of the envelope's identity and bytes.

        agents: (blocks,) Agent id as a word.
    """

    columns: Columns
    rules: Table
    oldest_ms: Ints
    newest_ms: Ints
    arrivals: Ints
    owners: Ints
    agents: Words

    def are_apart(self) -> Bools:
        """
        Return (blocks − 1,) whether the next block is of another series or wholly later.

        If that holds throughout a series, no two of its blocks share an interval.
        """
        slot, interval = self.rules["slot"], self.rules["interval"]
        oldest, newest = self.oldest_ms[1:], self.newest_ms[:-1]
        is_other_series = slot[1:] != slot[:-1]
        is_later: Bools = oldest // interval[1:] > newest // interval[1:]
        if np.any(~is_other_series & (interval[1:] != interval[:-1])):
            # Two handles of one series may have different policies: neither may be exceeded.
            is_later &= oldest // interval[:-1] > newest // interval[:-1]
        is_later |= is_other_series
        return is_later

    def refused(
        self, last: Reservation, *, are_apart: Bools, is_sound: Bools
    ) -> tuple[Bools, Bools]:
        """
        Decide which blocks to refuse, and reserve the intervals of the others in *last*.

        Args:
            last: The readings admitted earlier.

            are_apart: The result of `are_apart`.

            is_sound: (blocks,) Whether the block has passed all other checks. A block that has
                not passed them takes no interval.

        Returns:
            (blocks,) whether the block is refused, and (blocks,) whether it must wait instead of
            being refused for good: its conflicts are only with readings of other gateways whose
            storage is still pending.
        """
        refused = np.zeros(len(is_sound), dtype=np.bool_)
        must_wait = np.zeros(len(is_sound), dtype=np.bool_)
        slots, has_interval = self.rules["slot"], self.rules["interval"] > 1
        known = last.newest(slots)
        has_interval |= known["interval"] > 1
        is_late = self._is_late(known) & has_interval
        if is_late.any():
            late = np.flatnonzero(is_late & is_sound)
            losers, held = self._conflicts_with_earlier(late, known, last)
            refused[losers] = True
            must_wait[held] = True
        if not are_apart.all():
            touching = np.intersect1d(slots[:-1][~are_apart], slots[self.rules["interval"] > 1])
            # The newest reading alone does not tell which intervals these series have used: their
            # readings are remembered one by one.
            is_late |= (is_touching := np.isin(slots, touching))
            losers, held = self._conflicts_in_flush(
                np.flatnonzero(is_touching & is_sound & ~refused)
            )
            refused[losers] = True
            must_wait[held] = True
        self._reserve(last, kept=is_sound & ~refused, is_late=is_late)
        return refused, must_wait

    def _is_late(self, known: Table) -> Bools:
        """
        Return (blocks,) whether the block begins in the interval of the newest reading or before.

        Args:
            known: (blocks,) The newest reading of the series, as `READING`.
        """
        interval, before = self.rules["interval"], known["time"]
        is_late: Bools = self.oldest_ms // interval <= before // interval
        if np.any(is_mixed := (known["interval"] != interval) & (before >= 0)):
            other = known["interval"][is_mixed]
            is_late[is_mixed] |= self.oldest_ms[is_mixed] // other <= before[is_mixed] // other
        return is_late

    def _observations(self, blocks: Ints) -> tuple[Ints, Ints]:
        """
        Return the observation indexes of what is present in *blocks*, and the block of each.

        Args:
            blocks: Block indexes.
        """
        counts = self.columns.counts[blocks]
        position = np.repeat(np.arange(len(blocks)), counts)
        skipped = self.columns.firsts[blocks] - (np.cumsum(counts) - counts)
        observations = np.arange(len(position)) + skipped[position]
        if not self.columns.is_whole:
            present = self.columns.present[observations]
            observations, position = observations[present], position[present]
        return observations, blocks[position]

    def _conflicts_with_earlier(
        self, late: Ints, known: Table, last: Reservation
    ) -> tuple[Ints, Ints]:
        """
        Return the *late* blocks that share an interval with an earlier reading, and which of them
        do so only with readings that other gateways have reserved.

        Args:
            late: Block indexes.

            known: (blocks,) The newest reading of the series, as `READING`.

            last: The readings admitted earlier.

        Returns:
            Block indexes, twice.
        """
        observations, blocks = self._observations(late)
        times, interval = self.columns.times_ms[observations], self.rules["interval"][blocks]
        owners, newest = self.owners[blocks], known[blocks]
        shares = (times // interval == newest["time"] // interval) | (
            times // newest["interval"] == newest["time"] // newest["interval"]
        )
        is_another = (times != newest["time"]) | (owners != newest["owner"])
        is_newest = shares & is_another & (newest["time"] >= 0)
        slots = self.rules["slot"][blocks]
        is_kept, keepers = last.taken_by(Readings(slots, times, interval, owners))
        met = np.concatenate([blocks[is_newest], blocks[is_kept]])
        if not len(met):
            return met, met
        holders = np.concatenate([newest["owner"][is_newest], keepers[is_kept]])
        are_held = last.are_held(holders, self.agents[met])
        return np.unique(met), np.setdiff1d(met[are_held], met[~are_held])

    def _conflicts_in_flush(self, blocks: Ints) -> tuple[Ints, Ints]:
        """
        Return those of *blocks* that share an interval with a block considered before them, and
        which of them do so only with blocks of other gateways.

        Args:
            blocks: Block indexes.

        Returns:
            Block indexes, twice.
        """
        blocks = blocks[np.lexsort((self.arrivals[blocks], self.oldest_ms[blocks]))]
        rank = np.empty(len(self.arrivals), dtype=np.int64)
        rank[blocks] = np.arange(len(blocks))
        observations, block_of = self._observations(blocks)
        times, slots = self.columns.times_ms[observations], self.rules["slot"][block_of]
        intervals = self.rules["interval"][block_of]
        found, total = [], 0
        # Once for each interval length, mostly one. A series with two policies is checked by
        # both, because what one of them permits may exceed the other.
        for interval in np.unique(intervals[intervals > 1]):
            concerned = np.flatnonzero(np.isin(slots, slots[intervals == interval]))
            numbers, sizes = _interval_numbers(slots[concerned], times[concerned] // interval)
            is_shared = sizes > 1
            shared = concerned[is_shared]
            is_own = intervals[shared] == interval
            found.append((rank[block_of[shared]], numbers[is_shared] + total, is_own))
            total += len(numbers)
        if not found:
            return blocks[:0], blocks[:0]
        parts = (np.concatenate(part) for part in zip(*found, strict=True))
        losers, held = _losers(*parts, agents=self.agents[blocks].tolist())
        return blocks[losers], blocks[held]

    def _reserve(self, last: Reservation, *, kept: Bools, is_late: Bools) -> None:
        """
        Reserve the intervals of the *kept* blocks.

        Args:
            last: Where to reserve them.

            kept: (blocks,) Whether the block is stored.

            is_late: (blocks,) Whether each observation must be remembered, not only the newest.
        """
        newest = self.newest_ms
        if not self.columns.is_whole:
            # A missing observation takes no interval.
            times = np.where(self.columns.present, self.columns.times_ms, -1)
            newest = self.columns.greatest_of(times)
        slots, interval = self.rules["slot"], self.rules["interval"]
        late = None
        if is_late.any():
            observations, blocks = self._observations(np.flatnonzero(is_late & kept))
            times = self.columns.times_ms[observations]
            late = Readings(slots[blocks], times, interval[blocks], self.owners[blocks])
        whole = Readings(slots, newest, interval, self.owners)
        if kept.all():
            last.claim(Claim(whole, late, self.agents))
        else:
            last.claim(Claim(whole.of(kept), late, self.agents[kept]))


def _interval_numbers(slots: Ints, intervals: Ints) -> tuple[Ints, Ints]:
    """
    Number the (slot, interval) pairs of observations from 0.

    Returns:
        For each observation the number of its pair, and how many observations have that pair.
    """
    order = np.lexsort((intervals, slots))
    slots, intervals = slots[order], intervals[order]
    is_next = np.zeros(len(order), dtype=np.int64)
    is_next[1:] = (slots[1:] != slots[:-1]) | (intervals[1:] != intervals[:-1])
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.cumsum(is_next)
    return numbers, np.bincount(numbers)[numbers]


def _losers(
    ranks: Ints, intervals: Ints, is_own: Bools, *, agents: list[int]
) -> tuple[list[int], list[int]]:
    """
    Return the blocks that find an interval taken, and which of them find only other gateways'.

    Blocks are considered one after the other, because a refused block takes no interval; array
    operations cannot express that. Only observations in shared intervals come here, so that the
    cost falls on the gateways that send them.

    Args:
        ranks: Of each observation in a shared interval, the rank in which its block is considered.

        intervals: Of each such observation, the number of its interval.

        is_own: Of each such observation, whether the interval is one of its block's own policy;
            otherwise it is one of another policy of the same series.

        agents: Of each rank, the agent.

    Returns:
        Ranks, ascending, twice.
    """
    order = np.argsort(ranks, kind="stable")
    sorted_blocks = ranks[order]
    numbers, own = intervals[order].tolist(), is_own[order].tolist()
    ends = [*(np.flatnonzero(np.diff(sorted_blocks)) + 1).tolist(), len(numbers)]
    seen: dict[int, int] = {}
    claimed: dict[int, int] = {}
    losers, held, start = [], [], 0
    for end in ends if numbers else ():
        every = numbers[start:end]
        mine = [number for number, owns in zip(every, own[start:end], strict=True) if owns]
        block = int(sorted_blocks[start])
        agent = agents[block]
        holders = {claimed[number] for number in every if number in claimed}
        holders.update(seen[number] for number in mine if number in seen)
        if not holders:
            seen.update(dict.fromkeys(every, agent))
            claimed.update(dict.fromkeys(mine, agent))
        else:
            losers.append(block)
            if agent not in holders:
                held.append(block)
        start = end
    return losers, held

"""
At most one observation of a series in each interval of its policy, whatever came in which order.

Within a block the policy is for `conform` to check. Here blocks of one series meet: in an
envelope or in several of a flush, under one handle or under two, and what was admitted before.
A block is kept or refused whole. What was admitted before stays; the blocks of a flush are taken
in the order of their first times, then in that of their arrival, and one is kept if no interval
of it has an observation of another that was kept. An interval of a millisecond is none. Pure.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.columns import Bools, Columns, Ints
from ingest.admission.last_readings import Claim, Readings, Reservation
from ingest.admission.pair_index import Words

Table = NDArray[np.void]


class Meeting(msgspec.Struct, frozen=True, eq=False):
    """
    The blocks of a flush, in the order of series and start.

    Args:
        columns: Their observations.

        rules: Of each block.

        oldest_ms: Time of the first observation in each, missing or not.

        newest_ms: Time of the last one.

        arrivals: Place of each in the order of arrival.

        owners: Of each block, the hash of its envelope.

        agents: Of each block, its gateway.
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
        Tell for each block but the last whether the next is of another series or wholly later.

        Where that holds throughout a series, no two of its blocks share an interval.
        """
        slot, interval = self.rules["slot"], self.rules["interval"]
        oldest, newest = self.oldest_ms[1:], self.newest_ms[:-1]
        of_another = slot[1:] != slot[:-1]
        is_later: Bools = oldest // interval[1:] > newest // interval[1:]
        if np.any(~of_another & (interval[1:] != interval[:-1])):
            # Two handles of one series need not have one policy: neither's may be exceeded.
            is_later &= oldest // interval[:-1] > newest // interval[:-1]
        is_later |= of_another
        return is_later

    def refused(
        self, last: Reservation, *, are_apart: Bools, is_sound: Bools
    ) -> tuple[Bools, Bools]:
        """
        Tell which blocks are to be refused, and which of these are not to be refused for good,
        because they met nothing but readings of other gateways that are not stored yet; reserve
        in *last* what is not refused.

        Args:
            last: What was admitted before.

            are_apart: As found.

            is_sound: Of which blocks there is nothing else to say against. The others take no
                interval from anyone.
        """
        refused = np.zeros(len(is_sound), dtype=np.bool_)
        must_wait = np.zeros(len(is_sound), dtype=np.bool_)
        slots, has_interval = self.rules["slot"], self.rules["interval"] > 1
        known = last.newest(slots)
        has_interval |= known["interval"] > 1
        is_late = self._is_late(known) & has_interval
        if is_late.any():
            late = np.flatnonzero(is_late & is_sound)
            taken, held = self._taken(late, known, last)
            refused[taken] = True
            must_wait[held] = True
        if not are_apart.all():
            touching = np.intersect1d(slots[:-1][~are_apart], slots[self.rules["interval"] > 1])
            # The newest of them does not tell what there was: they are remembered one by one.
            is_late |= (is_touching := np.isin(slots, touching))
            crowded, held = self._crowded(np.flatnonzero(is_touching & is_sound & ~refused))
            refused[crowded] = True
            must_wait[held] = True
        self._reserve(last, kept=is_sound & ~refused, is_late=is_late)
        return refused, must_wait

    def _is_late(self, known: Table) -> Bools:
        """Tell which blocks do not begin in a later interval than that of the newest reading."""
        interval, before = self.rules["interval"], known["time"]
        is_late: Bools = self.oldest_ms // interval <= before // interval
        if np.any(is_mixed := (known["interval"] != interval) & (before >= 0)):
            other = known["interval"][is_mixed]
            is_late[is_mixed] |= self.oldest_ms[is_mixed] // other <= before[is_mixed] // other
        return is_late

    def _observations(self, blocks: Ints) -> tuple[Ints, Ints]:
        """Return the rows of all that is not missing in *blocks*, and the block of each."""
        counts = self.columns.counts[blocks]
        place = np.repeat(np.arange(len(blocks)), counts)
        skipped = self.columns.firsts[blocks] - (np.cumsum(counts) - counts)
        rows = np.arange(len(place)) + skipped[place]
        if not self.columns.is_whole:
            there = self.columns.present[rows]
            rows, place = rows[there], place[there]
        return rows, blocks[place]

    def _taken(self, late: Ints, known: Table, last: Reservation) -> tuple[Ints, Ints]:
        """
        Return the *late* blocks that have an observation where there was one before, and those of
        them that met none but what other gateways hold.
        """
        rows, blocks = self._observations(late)
        times, interval = self.columns.times_ms[rows], self.rules["interval"][blocks]
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

    def _crowded(self, blocks: Ints) -> tuple[Ints, Ints]:
        """
        Return those of *blocks* that share an interval with one that goes before them, and those
        of them that do so with none but other gateways'.
        """
        blocks = blocks[np.lexsort((self.arrivals[blocks], self.oldest_ms[blocks]))]
        rank = np.empty(len(self.arrivals), dtype=np.int64)
        rank[blocks] = np.arange(len(blocks))
        rows, block_of = self._observations(blocks)
        times, slots = self.columns.times_ms[rows], self.rules["slot"][block_of]
        intervals = self.rules["interval"][block_of]
        found, total = [], 0
        # Mostly one. By each policy of a series: what is fine by one may be too much by another.
        for interval in np.unique(intervals[intervals > 1]):
            concerned = np.flatnonzero(np.isin(slots, slots[intervals == interval]))
            place, size = _places(slots[concerned], times[concerned] // interval)
            shared = size > 1
            rows_shared = concerned[shared]
            is_own = intervals[rows_shared] == interval
            found.append((rank[block_of[rows_shared]], place[shared] + total, is_own))
            total += len(place)
        if not found:
            return blocks[:0], blocks[:0]
        parts = (np.concatenate(part) for part in zip(*found, strict=True))
        losers, held = _losers(*parts, agents=self.agents[blocks].tolist())
        return blocks[losers], blocks[held]

    def _reserve(self, last: Reservation, *, kept: Bools, is_late: Bools) -> None:
        newest = self.newest_ms
        if not self.columns.is_whole:
            # What is missing takes no interval.
            times = np.where(self.columns.present, self.columns.times_ms, -1)
            newest = self.columns.greatest_of(times)
        slots, interval = self.rules["slot"], self.rules["interval"]
        late = None
        if is_late.any():
            rows, blocks = self._observations(np.flatnonzero(is_late & kept))
            late = Readings(
                slots[blocks], self.columns.times_ms[rows], interval[blocks], self.owners[blocks]
            )
        whole = Readings(slots, newest, interval, self.owners)
        if kept.all():
            last.claim(Claim(whole, late, self.agents))
        else:
            last.claim(Claim(whole.of(kept), late, self.agents[kept]))


def _places(slots: Ints, buckets: Ints) -> tuple[Ints, Ints]:
    """Return for each observation the number of its interval, and how many fall in that."""
    order = np.lexsort((buckets, slots))
    slots, buckets = slots[order], buckets[order]
    is_next = np.zeros(len(order), dtype=np.int64)
    is_next[1:] = (slots[1:] != slots[:-1]) | (buckets[1:] != buckets[:-1])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(is_next)
    return place, np.bincount(place)[place]


def _losers(
    blocks: Ints, places: Ints, is_own: Bools, *, agents: list[int]
) -> tuple[list[int], list[int]]:
    """
    Return the blocks, in ascending order, that find a place taken, and those of them that find
    none taken but by other gateways.

    One after the other, because a block that is refused takes nothing: no array tells that. Only
    observations in shared intervals come here, so that it costs who sends them.

    Args:
        blocks: Of each observation in a shared interval.

        places: Number of that interval.

        is_own: Whether it is an interval of the block's own policy, or of another of its series.

        agents: Of each block, its gateway.
    """
    order = np.argsort(blocks, kind="stable")
    sorted_blocks = blocks[order]
    numbers, own = places[order].tolist(), is_own[order].tolist()
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

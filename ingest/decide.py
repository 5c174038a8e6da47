"""
Decisions about blocks: period, lease, clock, plausibility and policy, over a whole flush. Pure.

Whatever is asked of observations is numpy; nothing here is done once per observation in Python.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.columns import Bools, Columns, Ints, unpack
from ingest.conform import conforms
from ingest.outcome import Reason
from ingest.permissions import LastReadings, Permissions
from wire.envelope import MAX_TIME_MS, Block

_DAY_MS: Final = 86_400_000


class ClockRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far from its arrival an observation may have been measured."""

    max_ahead_s: float = 5.0
    max_age_days: float = 30.0

    def __post_init__(self) -> None:
        if not (0 <= self.max_ahead_s <= 86_400 and 0 < self.max_age_days <= 3650):
            raise ValueError("max_ahead_s is 0 to 86400, max_age_days above 0 and up to 3650")


class Rows(msgspec.Struct, frozen=True, eq=False):
    """Observations to store, sorted by series and time."""

    times_ms: Ints
    series: NDArray[np.int32]
    values: NDArray[np.float32]
    flags: NDArray[np.uint8]
    envelopes: Ints
    """Index of the envelope that each came in."""

    def __len__(self) -> int:
        return len(self.times_ms)

    def of(self, wanted: Bools) -> "Rows":
        """Return the rows of the envelopes that *wanted* holds for."""
        keep = wanted[self.envelopes]
        return Rows(
            self.times_ms[keep],
            self.series[keep],
            self.values[keep],
            self.flags[keep],
            self.envelopes[keep],
        )

    def joined(self, other: "Rows", *, envelopes: Ints) -> "Rows":
        """Return these and *other*, whose envelopes are *envelopes* here; not in order."""
        return Rows(
            np.concatenate([self.times_ms, other.times_ms]),
            np.concatenate([self.series, other.series]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.flags, other.flags]),
            np.concatenate([self.envelopes, envelopes[other.envelopes]]),
        )


class Blocks(msgspec.Struct, frozen=True, eq=False):
    """What became of each block, in the order of series and time."""

    envelopes: Ints
    quantities: Ints
    codes: Ints
    """0 for admitted, else the code of a reason."""
    observed: Ints
    """Observations in it that are not missing."""
    newest_ms: Ints
    arrivals: Ints
    """Place of each block among those decided with it, in the order of arrival."""

    def of(self, wanted: Bools) -> "Blocks":
        """Return the blocks of the envelopes that *wanted* holds for."""
        keep = wanted[self.envelopes]
        return Blocks(
            self.envelopes[keep],
            self.quantities[keep],
            self.codes[keep],
            self.observed[keep],
            self.newest_ms[keep],
            self.arrivals[keep],
        )

    def joined(self, other: "Blocks", *, envelopes: Ints) -> "Blocks":
        """Return these and *other*, whose envelopes are *envelopes* here; not in order."""
        return Blocks(
            np.concatenate([self.envelopes, envelopes[other.envelopes]]),
            np.concatenate([self.quantities, other.quantities]),
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.observed, other.observed]),
            np.concatenate([self.newest_ms, other.newest_ms]),
            np.concatenate([self.arrivals, other.arrivals]),
        )

    def refuse(self, where: Bools, reason: Reason) -> None:
        """Refuse the blocks that *where* holds for, unless they have been refused already."""
        self.codes[where & (self.codes == 0)] = reason.code


class Candidates(msgspec.Struct, frozen=True, eq=False):
    """
    Every block of a flush, in the order of arrival.

    Args:
        blocks: All of them.

        envelopes: In which each came.

        rules: The row of each one's rule.

        codes: 0, or the code of the reason with which it is refused already.
    """

    blocks: list[Block]
    envelopes: Ints
    rules: Ints
    codes: Ints


class Given(msgspec.Struct, frozen=True, eq=False):
    """
    What the decisions depend on besides permissions and observations.

    Args:
        windows: Of each envelope: from when until when its lease allowed measuring.

        received_ms: Of each envelope.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The time, for permissions that end by themselves.
    """

    windows: Ints
    received_ms: Ints
    clock: ClockRules
    now_ms: int


def decide(
    found: Candidates, given: Given, *, permissions: Permissions, last: LastReadings
) -> tuple[Blocks, Rows, int]:
    """
    Return the fate of each block, the rows of those admitted, and when the first rule of these
    ends; note what is admitted in *last*.
    """
    rule_rows = found.rules
    starts = np.fromiter((b.start_ms for b in found.blocks), np.int64, len(found.blocks))
    # In this order rows come out sorted by series and time without sorting rows, as long as the
    # blocks of a series do not overlap.
    order = np.lexsort((starts, permissions.rules(rule_rows)["series"]))
    blocks = [found.blocks[i] for i in order.tolist()]
    columns = unpack(blocks)
    rules = permissions.rules(rule_rows[order])
    fates = Blocks(
        envelopes=found.envelopes[order],
        quantities=np.fromiter((b.quantity for b in blocks), np.int64, len(blocks)),
        codes=found.codes[order],
        observed=columns.total_of(columns.present),
        newest_ms=columns.greatest_of(columns.times_ms),
        arrivals=order,
    )
    oldest_ms = columns.least_of(columns.times_ms)
    _refuse_by_time(fates, rules, oldest_ms, given)
    fates.refuse(_implausible(columns, rules), Reason.IMPLAUSIBLE)
    is_coarse = conforms(
        columns,
        step=rules["step"],
        interval_ms=rules["interval"],
        time_step_ms=rules["time_step"],
    )
    fates.refuse(~is_coarse, Reason.POLICY_EXCEEDED)
    # Where each block is in order, and after the one before, so is all: no need to look inside.
    are_apart = columns.is_regular and _are_apart(rules, oldest_ms, fates.newest_ms)
    sorting = None if are_apart else _sorting(columns, rules)
    if np.any(rules["interval"] > 1):
        last_ms = last.times_ms(rules["slot"])
        repeats = _repeats_last(columns, rules, last_ms, oldest_ms)
        fates.refuse(repeats, Reason.POLICY_EXCEEDED)
        if not are_apart:
            _refuse_repeats(columns, rules, sorting, fates)
    admitted = fates.codes == 0
    last.note(rules["slot"][admitted], fates.newest_ms[admitted])
    expires_ms = int(rules["valid_to"][admitted].min(initial=MAX_TIME_MS + 1))
    return fates, _rows(columns, rules, fates.envelopes, admitted, sorting), expires_ms


def _refuse_by_time(fates: Blocks, rules: NDArray[np.void], oldest: Ints, given: Given) -> None:
    newest = fates.newest_ms
    ends = rules["valid_to"]
    fates.refuse(rules["withdrawn"], Reason.WITHDRAWN)
    is_outside = (oldest < rules["valid_from"]) | (newest >= ends) | (given.now_ms >= ends)
    fates.refuse(is_outside, Reason.OUTSIDE_PERIOD)
    window = given.windows[fates.envelopes]
    fates.refuse((oldest < window[:, 0]) | (newest >= window[:, 1]), Reason.LEASE_EXPIRED)
    arrived = given.received_ms[fates.envelopes]
    latest = arrived + round(given.clock.max_ahead_s * 1000)
    fates.refuse(newest > latest, Reason.FROM_THE_FUTURE)
    earliest = arrived - round(given.clock.max_age_days * _DAY_MS)
    fates.refuse(oldest < earliest, Reason.TOO_OLD)


def _implausible(columns: Columns, rules: NDArray[np.void]) -> Bools:
    values = columns.values
    if not columns.is_whole:
        # What is missing is in every range.
        values = np.where(columns.present, values, np.repeat(rules["low"], columns.counts))
    lowest, highest = columns.least_of(values), columns.greatest_of(values)
    return (lowest < rules["low"]) | (highest > rules["high"])


def _repeats_last(
    columns: Columns, rules: NDArray[np.void], last_ms: Ints, oldest_ms: Ints
) -> Bools:
    """Tell for each block whether it falls into an interval that was observed before."""
    # Most blocks begin after the interval of the last reading: no need to look into them.
    is_later = (last_ms < 0) | (oldest_ms // rules["interval"] > last_ms // rules["interval"])
    if is_later.all():
        return np.zeros(len(last_ms), dtype=np.bool_)
    interval = np.repeat(rules["interval"], columns.counts)
    before = np.repeat(last_ms, columns.counts)
    return columns.any_of(
        (columns.times_ms != before)
        & (before >= 0)
        & (columns.times_ms // interval == before // interval)
    )


def _are_apart(rules: NDArray[np.void], oldest_ms: Ints, newest_ms: Ints) -> bool:
    """Tell whether each block begins in a later interval than its series' block before ends in."""
    interval = rules["interval"]
    is_later = (interval[1:] == interval[:-1]) & (
        oldest_ms[1:] // interval[1:] > newest_ms[:-1] // interval[:-1]
    )
    return bool((is_later | (rules["slot"][1:] != rules["slot"][:-1])).all())


def _sorting(columns: Columns, rules: NDArray[np.void]) -> Ints | None:
    """Return what sorts the observations by series and time, or None when they are sorted."""
    series = np.repeat(rules["series"], columns.counts)
    falls = (np.diff(columns.times_ms) < 0) & (series[1:] == series[:-1])
    return np.lexsort((columns.times_ms, series)) if falls.any() else None


def _refuse_repeats(
    columns: Columns,
    rules: NDArray[np.void],
    sorting: Ints | None,
    fates: Blocks,
) -> None:
    """Refuse a block that shares an interval with one that came before it in the same flush."""
    block_of = np.repeat(np.arange(len(fates.codes)), columns.counts)
    if sorting is not None:
        block_of = block_of[sorting]
    times = columns.times_ms if sorting is None else columns.times_ms[sorting]
    alive = fates.codes[block_of] == 0
    block_of, times = block_of[alive], times[alive]
    if not len(times):
        return
    slot, bucket = rules["slot"][block_of], times // rules["interval"][block_of]
    is_first = np.ones(len(times), dtype=np.bool_)
    is_first[1:] = (slot[1:] != slot[:-1]) | (bucket[1:] != bucket[:-1])
    firsts = np.flatnonzero(is_first)
    counts = np.diff(firsts, append=len(times))
    # Of each interval the block stays that came first, and what is of its very time: by pairs of
    # neighbours a third one between two would take the clash away with it.
    arrived = fates.arrivals[block_of]
    is_chosen = arrived == np.repeat(np.minimum.reduceat(arrived, firsts), counts)
    chosen = np.repeat(np.maximum.reduceat(np.where(is_chosen, times, -1), firsts), counts)
    fates.codes[block_of[times != chosen]] = Reason.POLICY_EXCEEDED.code


def _rows(
    columns: Columns,
    rules: NDArray[np.void],
    envelopes: Ints,
    admitted: Bools,
    sorting: Ints | None,
) -> Rows:
    if sorting is None and columns.is_whole and admitted.all():
        return Rows(
            times_ms=columns.times_ms,
            series=np.repeat(rules["series"], columns.counts),
            values=columns.values.astype(np.float32)
            / np.repeat(rules["per_unit"], columns.counts),
            flags=columns.flags,
            envelopes=np.repeat(envelopes, columns.counts),
        )
    block_of = np.repeat(np.arange(len(envelopes)), columns.counts)
    keep = columns.present & admitted[block_of]
    chosen = np.flatnonzero(keep) if sorting is None else sorting[keep[sorting]]
    block_of = block_of[chosen]
    return Rows(
        times_ms=columns.times_ms[chosen],
        series=rules["series"][block_of],
        values=columns.values[chosen].astype(np.float32) / rules["per_unit"][block_of],
        flags=columns.flags[chosen],
        envelopes=envelopes[block_of],
    )

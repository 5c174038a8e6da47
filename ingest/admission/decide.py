"""
Decisions about blocks: period, lease, clock, plausibility and policy, over a whole flush. Pure.

Whatever is asked of observations is numpy; nothing here is done once per observation in Python.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.columns import Bools, Columns, Ints, starts_of, unpack
from ingest.admission.conform import conforms
from ingest.admission.intervals import Meeting
from ingest.admission.last_readings import Reservation
from ingest.admission.pair_index import Words
from ingest.admission.permissions import Permissions
from ingest.values.outcome import Reason
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
    series: NDArray[np.int32]
    """0 where nothing permits it."""
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
            self.series[keep],
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
            np.concatenate([self.series, other.series]),
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

        quantities: Of each, by its code.

        rules: The row of each one's rule.

        codes: 0, or the code of the reason with which it is refused already.
    """

    blocks: list[Block]
    envelopes: Ints
    quantities: Ints
    rules: Ints
    codes: Ints


class Given(msgspec.Struct, frozen=True, eq=False):
    """
    What the decisions depend on besides permissions and observations.

    Args:
        windows: Of each envelope: from when until when its lease allowed measuring.

        received_ms: Of each envelope.

        owners: Of each envelope, the hash of its identity and bytes.

        agents: Of each envelope, its gateway.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The time, for permissions that end by themselves.
    """

    windows: Ints
    received_ms: Ints
    owners: Ints
    agents: Words
    clock: ClockRules
    now_ms: int


def decide(
    found: Candidates, given: Given, *, permissions: Permissions, last: Reservation
) -> tuple[Blocks, Rows, int, list[int]]:
    """
    Return the fate of each block, the rows of those admitted, when the first rule of these ends,
    and the envelopes that must wait until other gateways' are stored or not; reserve in *last*
    what is admitted.
    """
    starts = starts_of(found.blocks)
    rules = permissions.rules(found.rules)
    # In this order rows come out sorted by series and time without sorting rows, as long as the
    # blocks of a series do not overlap.
    order = np.lexsort((starts, rules["series"]))
    columns = unpack([found.blocks[i] for i in order.tolist()], starts[order])
    rules = rules.take(order)
    fates = Blocks(
        envelopes=found.envelopes[order],
        quantities=found.quantities[order],
        codes=found.codes[order],
        observed=columns.total_of(columns.present),
        newest_ms=columns.greatest_of(columns.times_ms),
        series=rules["series"],
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
    owners, agents = given.owners[fates.envelopes], given.agents[fates.envelopes]
    meeting = Meeting(columns, rules, oldest_ms, fates.newest_ms, order, owners, agents)
    are_apart = meeting.are_apart()
    is_too_much, must_wait = meeting.refused(last, are_apart=are_apart, is_sound=fates.codes == 0)
    fates.refuse(is_too_much, Reason.POLICY_EXCEEDED)
    waiting = np.unique(fates.envelopes[must_wait]).tolist() if must_wait.any() else []
    admitted = fates.codes == 0
    # Where each block is in order, and after the one before, so is all: no need to look inside.
    sorting = None if columns.is_regular and are_apart.all() else _sorting(columns, rules)
    expires_ms = int(rules["valid_to"][admitted].min(initial=MAX_TIME_MS + 1))
    rows = _rows(columns, rules, fates.envelopes, admitted, sorting)
    return fates, rows, expires_ms, waiting


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


def _sorting(columns: Columns, rules: NDArray[np.void]) -> Ints | None:
    """Return what sorts the observations by series and time, or None when they are sorted."""
    series = np.repeat(rules["series"], columns.counts)
    falls = (np.diff(columns.times_ms) < 0) & (series[1:] == series[:-1])
    if not falls.any():
        return None
    # Of the series that are out of order alone: one gateway does not have those of all sorted.
    rows = np.flatnonzero(np.isin(series, series[1:][falls]))
    sorting = np.arange(len(series))
    sorting[rows] = rows[np.lexsort((columns.times_ms[rows], series[rows]))]
    return sorting


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

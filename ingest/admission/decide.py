"""
Decisions about blocks: period, lease, clock, plausibility and policy, over a whole flush. Pure.

All work on observations is done by numpy; no Python statement runs once for each observation. The
index spaces are those of `ingest.admission`.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.admission.columns import Aligned, Bools, Columns, Ints, starts_of, unpack
from ingest.admission.conform import conforms
from ingest.admission.intervals import IntervalConflicts
from ingest.admission.last_readings import Reservation
from ingest.admission.pair_index import Words
from ingest.admission.permissions import Permissions
from ingest.values.outcome import Reason
from wire.envelope import MAX_TIME_MS, Block

_DAY_MS: Final = 86_400_000


class ClockRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far from its arrival an observation may have been measured."""

    max_ahead_s: float = 5.0
    """How long after its arrival an observation may be dated: the clock may be ahead."""
    max_age_days: float = 30.0
    """How long before its arrival an observation may have been measured."""

    def __post_init__(self) -> None:
        if not (0 <= self.max_ahead_s <= 86_400 and 0 < self.max_age_days <= 3650):
            raise ValueError(
                "max_ahead_s must be 0 to 86400, and max_age_days above 0 and at most 3650"
            )


class Rows(Aligned, frozen=True, eq=False):
    """
    Observations to store, sorted by series and time.

    Args:
        times_ms: (rows,) Time of measurement, ms since 1970.

        series: (rows,) Series id.

        values: (rows,) Value in the unit of its quantity.

        flags: (rows,) Flag bits.

        envelopes: (rows,) Envelope index.
    """

    times_ms: Ints
    series: NDArray[np.int32]
    values: NDArray[np.float32]
    flags: NDArray[np.uint8]
    envelopes: Ints

    def __len__(self) -> int:
        return len(self.times_ms)

    def of(self, wanted: Bools) -> "Rows":
        """Return the rows of the envelopes for which *wanted* (envelopes,) holds."""
        return self.select(wanted[self.envelopes])

    def joined(self, other: "Rows", *, envelopes: Ints) -> "Rows":
        """
        Return these rows followed by *other*, no longer sorted.

        Args:
            other: Rows of another admission, with envelope indexes of its own.

            envelopes: The envelope index here of each envelope of *other*.
        """
        placed = msgspec.structs.replace(other, envelopes=envelopes[other.envelopes])
        return self.followed_by(placed)


class Blocks(Aligned, frozen=True, eq=False):
    """
    The decision about each block, sorted by series and the time of the first observation.

    Args:
        envelopes: (blocks,) Envelope index.

        quantities: (blocks,) Code of the quantity.

        codes: (blocks,) 0 if the block is admitted, otherwise the code of the reason.

        observed: (blocks,) Number of observations that are not missing.

        newest_ms: (blocks,) Time of the last observation, ms since 1970.

        series: (blocks,) Series id; 0 if no rule permits the block.

        arrivals: (blocks,) Arrival index.
    """

    envelopes: Ints
    quantities: Ints
    codes: Ints
    observed: Ints
    newest_ms: Ints
    series: NDArray[np.int32]
    arrivals: Ints

    def of(self, wanted: Bools) -> "Blocks":
        """Return the blocks of the envelopes for which *wanted* (envelopes,) holds."""
        return self.select(wanted[self.envelopes])

    def joined(self, other: "Blocks", *, envelopes: Ints) -> "Blocks":
        """
        Return these blocks followed by *other*, no longer sorted.

        Args:
            other: Blocks of another admission, with envelope indexes of its own.

            envelopes: The envelope index here of each envelope of *other*.
        """
        placed = msgspec.structs.replace(other, envelopes=envelopes[other.envelopes])
        return self.followed_by(placed)

    def refuse(self, where: Bools, reason: Reason) -> None:
        """Refuse the blocks for which *where* (blocks,) holds, unless they are refused already."""
        self.codes[where & (self.codes == 0)] = reason.code


class Candidates(msgspec.Struct, frozen=True, eq=False):
    """
    All blocks of a flush, in the order of arrival.

    Args:
        blocks: The blocks.

        envelopes: (arrivals,) Envelope index.

        quantities: (arrivals,) Code of the quantity.

        rules: (arrivals,) Number of the rule; `NO_RULE` for none.

        codes: (arrivals,) 0, or the code of the reason that refuses the block already.
    """

    blocks: list[Block]
    envelopes: Ints
    quantities: Ints
    rules: Ints
    codes: Ints


class FlushContext(msgspec.Struct, frozen=True, eq=False):
    """
    What decisions depend on besides permissions and observations.

    Args:
        windows: (envelopes, 2) Begin and end of measuring that the lease allowed, ms since 1970.

        received_ms: (envelopes,) Time of arrival, ms since 1970.

        owners: (envelopes,) Hash of identity and bytes, as `admit.owners_of` returns it.

        agents: (envelopes,) Agent id as a word.

        clock: How far from its arrival an observation may have been measured.

        now_ms: The current time, ms since 1970: permissions may have ended.
    """

    windows: Ints
    received_ms: Ints
    owners: Ints
    agents: Words
    clock: ClockRules
    now_ms: int


def decide(
    found: Candidates, context: FlushContext, *, permissions: Permissions, last: Reservation
) -> tuple[Blocks, Rows, int, list[int]]:
    """
    Decide about all blocks, and reserve the intervals of the admitted ones in *last*.

    Returns:
        The decision about each block; the rows to store; when the first rule of an admitted block
        ends, ms since 1970; and the indexes of the envelopes that must wait until the envelopes
        of other gateways are stored or dropped.
    """
    starts = starts_of(found.blocks)
    rules = permissions.rules(found.rules)
    # From arrivals to blocks. In this order the rows are sorted by series and time without being
    # sorted themselves, as long as a series has one source and its blocks do not overlap.
    order = np.lexsort((starts, rules["slot"], rules["series"]))
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
    _refuse_by_time(fates, rules, oldest_ms, context)
    fates.refuse(_implausible(columns, rules), Reason.IMPLAUSIBLE)
    is_coarse = conforms(
        columns,
        step=rules["step"],
        interval_ms=rules["interval"],
        time_step_ms=rules["time_step"],
    )
    fates.refuse(~is_coarse, Reason.POLICY_EXCEEDED)
    owners, agents = context.owners[fates.envelopes], context.agents[fates.envelopes]
    conflicts = IntervalConflicts(
        columns, rules, oldest_ms, fates.newest_ms, order, owners, agents
    )
    are_apart = conflicts.are_apart()
    is_refused, must_wait = conflicts.refused(last, are_apart=are_apart, is_sound=fates.codes == 0)
    fates.refuse(is_refused, Reason.POLICY_EXCEEDED)
    waiting = np.unique(fates.envelopes[must_wait]).tolist() if must_wait.any() else []
    admitted = fates.codes == 0
    # If each block is in order of time and later than the block before, so are all observations.
    is_sorted = columns.is_regular and are_apart.all() and not _has_two_sources(rules)
    sorting = None if is_sorted else _sorting(columns, rules)
    expires_ms = int(rules["valid_to"][admitted].min(initial=MAX_TIME_MS + 1))
    rows = _rows(columns, rules, fates.envelopes, admitted, sorting)
    return fates, rows, expires_ms, waiting


def _refuse_by_time(
    fates: Blocks, rules: NDArray[np.void], oldest: Ints, context: FlushContext
) -> None:
    """Refuse blocks outside their period, their lease or the clock rules; *oldest*: (blocks,)."""
    newest = fates.newest_ms
    ends, time_step = rules["valid_to"], rules["time_step"]
    fates.refuse(rules["withdrawn"], Reason.WITHDRAWN)
    # The times are rounded down, and so must be what they may not be before.
    begins = rules["valid_from"] // time_step * time_step
    is_outside = (oldest < begins) | (newest >= ends) | (context.now_ms >= ends)
    is_outside |= newest >= rules["measured_to"]
    fates.refuse(is_outside, Reason.OUTSIDE_PERIOD)
    window = context.windows[fates.envelopes]
    is_before = oldest < window[:, 0] // time_step * time_step
    fates.refuse(is_before | (newest >= window[:, 1]), Reason.LEASE_EXPIRED)
    arrived = context.received_ms[fates.envelopes]
    latest = arrived + round(context.clock.max_ahead_s * 1000)
    fates.refuse(newest > latest, Reason.FROM_THE_FUTURE)
    earliest = arrived - round(context.clock.max_age_days * _DAY_MS)
    fates.refuse(oldest < earliest, Reason.TOO_OLD)


def _implausible(columns: Columns, rules: NDArray[np.void]) -> Bools:
    """Return (blocks,) whether a value is outside the range of its quantity."""
    values = columns.values
    if not columns.is_whole:
        # A missing value counts as inside the range.
        values = np.where(columns.present, values, np.repeat(rules["low"], columns.counts))
    lowest, highest = columns.least_of(values), columns.greatest_of(values)
    return (lowest < rules["low"]) | (highest > rules["high"])


def _has_two_sources(rules: NDArray[np.void]) -> bool:
    """Tell whether a series has blocks of two sources, one after the other."""
    series, slot = rules["series"], rules["slot"]
    return bool(np.any((series[1:] == series[:-1]) & (slot[1:] != slot[:-1])))


def _sorting(columns: Columns, rules: NDArray[np.void]) -> Ints | None:
    """
    Return (observations,) the observation indexes in the order of series and time.

    None means that the observations have this order already.
    """
    series = np.repeat(rules["series"], columns.counts)
    falls = (np.diff(columns.times_ms) < 0) & (series[1:] == series[:-1])
    if not falls.any():
        return None
    # Only the series that are out of order are sorted: one gateway must not cost the others a
    # sort of the whole flush.
    unsorted = np.flatnonzero(np.isin(series, series[1:][falls]))
    sorting = np.arange(len(series))
    sorting[unsorted] = unsorted[np.lexsort((columns.times_ms[unsorted], series[unsorted]))]
    return sorting


def _rows(
    columns: Columns,
    rules: NDArray[np.void],
    envelopes: Ints,
    admitted: Bools,
    sorting: Ints | None,
) -> Rows:
    """
    Return the present observations of the *admitted* blocks.

    Args:
        columns: The observations of all blocks.

        rules: (blocks,) The rule of each block.

        envelopes: (blocks,) Envelope index.

        admitted: (blocks,) Whether the block is to be stored.

        sorting: The result of `_sorting`.
    """
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

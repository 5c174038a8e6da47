"""The rule of `wire.policy.Rule.conforms`, for many blocks at once."""

import numpy as np

from ingest.admission.columns import Bools, Columns, Ints


def conforms(columns: Columns, *, step: Ints, interval_ms: Ints, time_step_ms: Ints) -> Bools:
    """
    Return (blocks,) whether the block is at least as coarse as its rule demands.

    Args:
        columns: The blocks.

        step: (blocks,) Each value must be a multiple of this, in steps of resolution.

        interval_ms: (blocks,) At most one observation may fall in each interval of this length.

        time_step_ms: (blocks,) Each time must be a multiple of this.
    """
    if columns.is_regular and np.all(step == 1):
        # The first time and the step of a regular block tell all its times. If the step is at
        # least an interval, each interval has at most one observation.
        is_coarse = (
            (columns.starts_ms() % time_step_ms == 0)
            & (columns.steps_ms % time_step_ms == 0)
            & (columns.steps_ms >= interval_ms)
        )
        if (is_coarse | (columns.counts == 1) & (columns.starts_ms() % time_step_ms == 0)).all():
            return np.ones(len(columns.counts), dtype=np.bool_)
    too_fine = columns.times_ms % np.repeat(time_step_ms, columns.counts) != 0
    if np.any(step != 1):
        off_step = columns.values % np.repeat(step, columns.counts) != 0
        too_fine |= columns.present & off_step
    return ~(columns.any_of(too_fine) | _shares_an_interval(columns, interval_ms))


def _shares_an_interval(columns: Columns, interval_ms: Ints) -> Bools:
    """Return (blocks,) whether two observations of the block fall in one interval."""
    intervals = columns.times_ms // np.repeat(interval_ms, columns.counts)
    steps = np.diff(intervals)
    inner = columns.inner_pairs()
    shares = _blocks_of_pairs(columns, inner & (steps == 0))
    # In a block in order of time, only neighbours can share an interval. A block with explicit
    # offsets need not be in order; that is rare, and such a block is checked on its own.
    for block in np.flatnonzero(_blocks_of_pairs(columns, inner & (steps < 0))):
        first = columns.firsts[block]
        own = intervals[first : first + columns.counts[block]]
        shares[block] = len(np.unique(own)) < len(own)
    return shares


def _blocks_of_pairs(columns: Columns, pairs: Bools) -> Bools:
    """Return (blocks,) whether *pairs* (observations − 1,) holds for a pair of the block."""
    is_second = np.zeros(len(columns.times_ms), dtype=np.bool_)
    is_second[1:] = pairs
    return columns.any_of(is_second)

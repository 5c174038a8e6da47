"""The rule of `wire.policy.Rule.conforms`, for many blocks at once."""

import numpy as np

from ingest.admission.columns import Bools, Columns, Ints


def conforms(columns: Columns, *, step: Ints, interval_ms: Ints, time_step_ms: Ints) -> Bools:
    """
    Tell for each block whether it is no finer than its rule allows.

    Args:
        columns: The blocks.

        step: Of each block's rule.

        interval_ms: Of each block's rule.

        time_step_ms: Of each block's rule.
    """
    if columns.is_regular and np.all(step == 1):
        # Regular blocks are told by their first time and their step: an observation in each
        # interval at most, if a step is no shorter than one.
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
    """Tell for each block whether two of its observations fall in one interval."""
    intervals = columns.times_ms // np.repeat(interval_ms, columns.counts)
    steps = np.diff(intervals)
    inner = columns.inner_pairs()
    shares = _blocks_of_pairs(columns, inner & (steps == 0))
    # Neighbours tell all about a block in order. Offsets need not be in order; such a block is
    # rare and looked at alone.
    for block in np.flatnonzero(_blocks_of_pairs(columns, inner & (steps < 0))):
        first = columns.firsts[block]
        own = intervals[first : first + columns.counts[block]]
        shares[block] = len(np.unique(own)) < len(own)
    return shares


def _blocks_of_pairs(columns: Columns, pairs: Bools) -> Bools:
    rows = np.zeros(len(columns.times_ms), dtype=np.bool_)
    rows[1:] = pairs
    return columns.any_of(rows)

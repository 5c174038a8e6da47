"""
Decides about each reading of a file before anything of it is sealed. Pure.

A reading passes the pipeline as one of its sensor would: the lease of its time must name the
person and the quantity, and the policy makes it coarser. The decision about the whole file is
known, and counted by reason, before the first envelope is made.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from edge_agent.pipeline.pipeline import Flush, Pipeline
from edge_agent.values.measurement import Measurement, Verdict
from wire.refusals import Refusal

MAX_AGE_MS: Final = 30 * 24 * 3_600_000 - 3_600_000
"""Ingest refuses what was measured 30 days before it arrives; an hour is left for the way."""
TOO_OLD: Final = "too_old"


class ImportDecision(msgspec.Struct, frozen=True):
    """The decision about all readings of a file."""

    flush: Flush
    """The observations that may be sealed, with their checkpoints."""
    merged: int
    """Readings that stand in the interval of another one."""
    refused: Counter[str]
    """Readings, for each purpose that a reading serves, by reason."""

    @property
    def observations(self) -> int:
        """How many observations there are to seal."""
        return sum(map(len, self.flush.bodies))


def take(
    pipeline: Pipeline,
    measurements: Sequence[Measurement],
    *,
    now_ms: int,
    latest_ms: int,
    now: float,
) -> ImportDecision:
    """
    Offer all *measurements* to *pipeline*, and return what came of them.

    Args:
        pipeline: Has adopted the lease in force, and has nothing waiting.

        measurements: Of one file, in ascending order of time.

        now_ms: The time of day, ms since 1970.

        latest_ms: The latest time of day that was ever believed, ms since 1970.

        now: Monotonic time, in seconds.
    """
    merged, refused = 0, Counter[str]()
    for measurement in measurements:
        if measurement.at_ms < now_ms - MAX_AGE_MS:
            refused[TOO_OLD] += 1
            continue
        for outcome in pipeline.offer(measurement, now_ms=now_ms, latest_ms=latest_ms, now=now):
            if isinstance(outcome, Refusal):
                refused[str(outcome)] += 1
            else:
                merged += outcome is Verdict.COARSENED
    return ImportDecision(pipeline.take_all(now=now), merged, refused)

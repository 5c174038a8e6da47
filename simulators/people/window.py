"""
Where a replay begins in a recording, and how it continues at the end.

A recording of months has nights without a sensor. A replay begins where all sensors of the person
measure, at a place chosen by a seed, and starts again from the beginning at the end.
"""

import bisect
import itertools
import random
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from recordings.sample import Sample

_SPAN_MS: Final = 6 * 3_600_000
_ENOUGH: Final = 0.9
_CANDIDATES: Final = 500


def typical_step_ms(samples: Sequence[Sample]) -> int:
    """
    Return the median time between two samples of the most frequent quantity, at
    least 1, in ms.
    """
    quantity = statistics.mode(sample.quantity for sample in samples)
    offsets = [sample.offset_ms for sample in samples if sample.quantity == quantity]
    steps = [b - a for a, b in itertools.pairwise(offsets)]
    return max(1, round(statistics.median(steps))) if steps else 1000


def origin_ms(tracks: Sequence[Sequence[Sample]], *, seed: str) -> int:
    """
    Return the offset in ms from which each of *tracks* has data for hours.

    *seed* chooses among such offsets; if there is none, the offset with the most data is returned.
    """
    first = max(track[0].offset_ms for track in tracks)
    last = min(track[-1].offset_ms for track in tracks)
    if last <= first:
        return min(track[0].offset_ms for track in tracks)
    span = min(_SPAN_MS, (last - first) // 2)
    values = [[s.offset_ms for s in track if s.value is not None] for track in tracks]
    wanted = [max(1.0, span / typical_step_ms(track)) for track in tracks]
    moments = [
        s.offset_ms
        for s in tracks[0]
        if s.value is not None and first <= s.offset_ms <= last - span
    ]
    thinned = moments[:: max(1, len(moments) // _CANDIDATES)] or [first]
    shares = {
        moment: min(
            _count(offsets, moment, moment + span) / full
            for offsets, full in zip(values, wanted, strict=True)
        )
        for moment in thinned
    }
    good = [moment for moment, share in shares.items() if share >= _ENOUGH]
    return (
        random.Random(f"{seed}/window").choice(good)
        if good
        else max(shares, key=shares.__getitem__)
    )


def _count(offsets: list[int], start: int, end: int) -> int:
    return bisect.bisect_left(offsets, end) - bisect.bisect_left(offsets, start)


def endless(samples: Sequence[Sample], *, origin: int, period: int) -> Iterator[Sample]:
    """
    Yield *samples* from *origin* on, repeated without end, with offsets counted from *origin*.

    Args:
        samples: In ascending order of offsets.

        origin: Where to begin, in ms.

        period: Length of the recording in ms, the same for all sensors of a person, so that
            they stay together.
    """
    for lap in itertools.count():
        shift = lap * period - origin
        for sample in samples:
            if sample.offset_ms + shift >= 0:
                yield Sample(sample.offset_ms + shift, sample.quantity, sample.value, sample.fault)

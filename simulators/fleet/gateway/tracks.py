"""
Tracks: hours of values of invented people, packed once, so that sealing costs no physiology.

Each gateway plays one of a few dozen tracks from a position of its own. A value is an int16 in
steps of the quantity's resolution, as on the wire, so that a block is a slice.
"""

import array
import itertools
import math
import sys
from collections.abc import Iterator
from typing import Final

from recordings.sample import Sample
from simulators.people.persona import glucose, heart
from simulators.people.persona.day import HOUR_MS
from wire.envelope import Block
from wire.quantities import BY_NAME, MISSING

_LENGTH: Final = 720
_PEOPLE: Final = 24


class ValueTrack:
    """
    A run of values of one quantity that repeats without end.

    Args:
        code: Code of the quantity.

        step_ms: Time between two values, in ms.

        values: In steps of the quantity's resolution, `MISSING` where there is no value.
    """

    def __init__(self, code: int, step_ms: int, values: list[int]) -> None:
        self.code = code
        self.step_ms = step_ms
        self._length = len(values)
        # Stored twice, so that a slice never wraps.
        packed = array.array("h", values + values)
        if sys.byteorder == "big":
            packed.byteswap()
        self._packed = packed.tobytes()
        self._present = [0, *itertools.accumulate(v != MISSING for v in values + values)]

    def block(self, from_ms: int, until_ms: int, *, place: int) -> tuple[Block, int] | None:
        """
        Return the block of [*from_ms*, *until_ms*), and its number of values that are not missing;
        None if it is empty.

        Args:
            from_ms: ms since 1970.

            until_ms: ms since 1970.

            place: Index in the track at 1970.
        """
        first = -(-from_ms // self.step_ms)
        count = min(-(-until_ms // self.step_ms) - first, self._length)
        if count <= 0:
            return None
        start = (first + place) % self._length
        block = Block(
            self.code,
            first * self.step_ms,
            self.step_ms,
            self._packed[2 * start : 2 * (start + count)],
        )
        return block, self._present[start + count] - self._present[start]


def tracks_of(seed: int, steps_ms: dict[str, int]) -> list[list[ValueTrack]]:
    """Return, for each of a few dozen people, a track of each quantity."""
    return [
        [_track(f"fleet/{seed}/{person}", name, step) for name, step in steps_ms.items()]
        for person in range(_PEOPLE)
    ]


def _track(seed: str, name: str, step_ms: int) -> ValueTrack:
    quantity = BY_NAME[name]
    values = [MISSING] * _LENGTH
    # Of a sensor that measures each second, take the first value of each step; a finer step
    # repeats it.
    natural_ms = heart.STEP_MS if name == "heart_rate" else glucose.STEP_MS
    stride = max(1, round(step_ms / natural_ms))
    for number, sample in enumerate(_natural(seed, name, count=stride * _LENGTH)):
        place, rest = divmod(number, stride)
        if rest == 0 and sample is not None:
            values[place] = quantity.to_steps(sample)
    return ValueTrack(quantity.code, step_ms, values)


def _natural(seed: str, name: str, *, count: int) -> Iterator[float | None]:
    """Yield *count* values of a sensor at its own rate; None where it has no value."""
    samples: Iterator[Sample]
    start_ms = math.floor(9.5 * HOUR_MS)
    if name == "heart_rate":
        samples = heart.strap(seed, start_ms=start_ms)
    else:
        samples = glucose.cgm(seed, start_ms=start_ms, age_ms=2 * HOUR_MS)
    of_it = (sample.value for sample in samples if sample.quantity == name)
    return itertools.islice(of_it, count)

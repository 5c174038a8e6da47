"""
The position of a record in a sensor's memory, as the single number of a cursor. Pure.

The port needs a number that grows with each record of a sensor. The sequence of a meter restarts
when its memory is cleared, and later records would then count as seen. So the upper bits hold a
generation, which the agent counts, and the lower bits a stamp, by which the agent recognises the
last record that it took.

```
| generation 30 | sequence 16 | stamp 16 | taken 1 |
```

The lowest bit is set in the number of a record. The pipeline may save one less: everything
*before* this record; then it is clear.
"""

from typing import Final

import msgspec

_SEQUENCES: Final = 1 << 16
_STAMPS: Final = 1 << 16
_GENERATIONS: Final = 1 << 30


class RecordCursor(msgspec.Struct, frozen=True):
    """A position in the memory of a sensor."""

    generation: int
    """How often the memory was cleared, or a new session began, since the agent met the sensor."""
    sequence: int
    """The number of the record: a meter's sequence, or the minute of a CGM session."""
    stamp: int
    """16 bits that distinguish the record (or session) from another with the same sequence."""
    taken: bool = True
    """Whether the record itself is durable; otherwise only those before it are."""

    def encode(self) -> int:
        """Return the position as the number of a record, or as a cursor."""
        number = self.generation % _GENERATIONS
        number = number * _SEQUENCES + self.sequence % _SEQUENCES
        number = number * _STAMPS + self.stamp % _STAMPS
        return number * 2 + self.taken


def decode(cursor: int) -> RecordCursor | None:
    """Return the position of *cursor*; None for 0, which means that nothing was taken yet."""
    if cursor <= 0:
        return None
    number, taken = divmod(cursor, 2)
    number, stamp = divmod(number, _STAMPS)
    generation, sequence = divmod(number, _SEQUENCES)
    return RecordCursor(generation % _GENERATIONS, sequence, stamp, bool(taken))

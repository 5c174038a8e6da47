"""
Where in a sensor's memory a record stands, as the one number that a cursor holds. Pure.

The port wants a number that grows with each record of a sensor. The sequence of a meter alone does
not: it starts again when the memory is cleared, and what came after would be taken for seen. So a
generation stands above it, which we count ourselves, and a stamp below it, by which we recognise
the record that we took last when we meet it again.

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
    """A place in the memory of a sensor."""

    generation: int
    """How often the memory was cleared since we know the sensor; or the session was begun anew."""
    sequence: int
    """The record's own number: of a meter its sequence, of a CGM session its minute."""
    stamp: int
    """16 bits of what tells the record (or the session) from another of the same sequence."""
    taken: bool = True
    """Whether the record itself is done with; else only those before it are."""

    def encode(self) -> int:
        """Return it as the number of a record, or as a cursor."""
        number = self.generation % _GENERATIONS
        number = number * _SEQUENCES + self.sequence % _SEQUENCES
        number = number * _STAMPS + self.stamp % _STAMPS
        return number * 2 + self.taken


def decode(cursor: int) -> RecordCursor | None:
    """Return the place that *cursor* stands for; None for 0, when nothing was taken yet."""
    if cursor <= 0:
        return None
    number, taken = divmod(cursor, 2)
    number, stamp = divmod(number, _STAMPS)
    generation, sequence = divmod(number, _SEQUENCES)
    return RecordCursor(generation % _GENERATIONS, sequence, stamp, bool(taken))

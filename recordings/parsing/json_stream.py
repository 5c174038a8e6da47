"""
The elements of a JSON array, one at a time, in bounded memory.

The array is the whole file, or the value of "result", "data" or "entries" of an object. Elements
are small objects; one that is longer than a limit, or nested deeper than the parser allows,
refuses the file.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from recordings.errors import FileReason, FileRefused
from recordings.parsing.text import encoding_of

_MAX_ELEMENT: Final = 262_144
"""Characters of one element."""
_MAX_ELEMENTS: Final = 5_000_000
_START: Final = re.compile(r'\s*(?:\{[^\[\]{}]{0,512}?"(?:result|data|entries)"\s*:\s*)?\[')
_BETWEEN: Final = re.compile(r"[\s,]*")
_decoder: Final = json.JSONDecoder()


def elements(chunks: Iterable[bytes]) -> Iterator[Any]:
    """
    Yield the elements of the array in *chunks*; None for one that cannot be read.

    Raises:
        FileRefused: The file is no array, or breaks the grammar of JSON.
    """
    source = iter(chunks)
    head = next(source, b"")
    encoding, skip = encoding_of(head)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    text = decoder.decode(head[skip:])
    start = _START.match(text)
    if start is None:
        raise FileRefused(FileReason.MALFORMED)
    place, count, is_whole = start.end(), 0, False
    while True:
        place = _BETWEEN.match(text, place).end()  # type: ignore[union-attr]  # always matches
        if text.startswith("]", place):
            return
        found = _element(text, place) if place < len(text) else None
        # A number at the end of the text may go on in the next chunk.
        if found is not None and (found[1] < len(text) or is_whole):
            count += 1
            if count > _MAX_ELEMENTS:
                raise FileRefused(FileReason.TOO_LARGE)
            yield found[0]
            place = found[1]
            continue
        if is_whole or len(text) - place > _MAX_ELEMENT:
            raise FileRefused(FileReason.MALFORMED)
        chunk = next(source, None)
        is_whole = chunk is None
        text, place = text[place:] + decoder.decode(chunk or b"", final=is_whole), 0


def _element(text: str, place: int) -> tuple[Any, int] | None:
    """Return the element at *place* and its end, or None if it does not end in *text*."""
    try:
        return _decoder.raw_decode(text, place)
    except json.JSONDecodeError:
        return None
    except (RecursionError, ValueError):
        # Nested too deep, or a number with thousands of digits.
        raise FileRefused(FileReason.MALFORMED) from None

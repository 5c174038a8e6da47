"""
Gives back what only the start needed: garbage, free heap, and the pages of code that ran once.

Half of the agent's resident memory is the code of its libraries, mapped from their files, and
most of that served imports and the first handshake. Unmapped it is found again when it is needed,
in the page cache or on the disk, and until then whoever is short of memory can have it at once.
"""

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runtime import memory

_MAPS: Final = Path("/proc/self/maps")
_DONT_NEED: Final = 4
"""MADV_DONTNEED: see madvise(2)."""


def give_back() -> None:
    """Give back what can be; where the system cannot do that, nothing happens."""
    gc.collect()
    memory.give_back()
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with contextlib.suppress(OSError):
        for start, end in code_ranges(_MAPS.read_text(encoding="ascii", errors="replace")):
            advise(start, end - start, _DONT_NEED)


def code_ranges(maps: str) -> Iterator[tuple[int, int]]:
    """Yield first and last address + 1 of every mapping in *maps* that is code from a file."""
    for line in maps.splitlines():
        addresses, access, *rest = line.split(maxsplit=5)
        # Code alone: nobody has ever written to it, so that its file has all of it. Data that is
        # read-only by now was written when it was loaded, and would be lost.
        if access == "r-xp" and len(rest) == 4 and rest[3].startswith("/"):
            first, last = addresses.split("-")
            yield int(first, 16), int(last, 16)

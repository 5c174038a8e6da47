"""
Polar RR: intervals between heart beats in ms, one per line, plain or below [HRData] of a .hrm.

Over Bluetooth an interval counts 1/1024 s; in these files it is in ms. Only .hrm files with
Interval=238 hold intervals; others hold heart rates every few seconds and are not read. Ectopic
beats and noise are kept, for the reader to judge.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from simulators.recordings.fields import number
from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally, Reason

KIND: Final = "polar_rr"
_SECTION: Final = "[HRData]"
_LONGEST_MS: Final = 64_000
"""The longest interval that 16 bits of 1/1024 s can carry, in ms."""


def matches(name: str, head: str) -> bool:
    """Tell whether a file holds intervals."""
    if name.lower().endswith(".hrm"):
        return head.startswith("[Params]") and "Interval=238" in head.splitlines()
    lines = head.splitlines()[:20]
    return (
        name.lower().endswith(".txt")
        and len(lines) >= 2
        and all(line.strip().isdecimal() and line.isascii() for line in lines[:-1] if line.strip())
        and any(line.strip() for line in lines[:-1])
    )


def parse(lines: Iterable[str], tally: ParseTally) -> Iterator[Sample]:
    """Yield the intervals of a file, each at the time of the beat that ends it."""
    offset_ms = 0
    in_section: bool | None = None
    for line in lines:
        text = line.strip()
        if not text:
            continue
        if in_section is None:
            # The first line tells whether the file has sections.
            in_section = not text.startswith("[")
        if text.startswith("["):
            in_section = text == _SECTION
            tally.passed_over += 1
            continue
        if not in_section:
            tally.passed_over += 1
            continue
        tally.rows += 1
        interval_ms = number(text)
        if interval_ms is None or not 0 < interval_ms <= _LONGEST_MS:
            tally.reject(Reason.BAD_NUMBER)
            continue
        offset_ms += round(interval_ms)
        yield Sample(offset_ms, "rr_interval", float(round(interval_ms)))

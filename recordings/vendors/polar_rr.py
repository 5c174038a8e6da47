"""
Polar RR: intervals between heart beats in ms, one per line, plain or below [HRData] of a .hrm.

Over Bluetooth an interval counts 1/1024 s; in these files it is in ms. Only .hrm files with
Interval=238 hold intervals; others hold heart rates every few seconds and are not read. A plain
column of whole numbers may hold anything: it is read only if the user names the format, or if the
file is one that was published. Ectopic beats and noise are kept, for the reader to judge.
"""

from collections.abc import Iterable
from typing import Final

from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.fields import number
from recordings.sample import Sample
from recordings.tally import ParseTally, Reason

KIND: Final = "polar_rr"
_SECTION: Final = "[HRData]"
_LONGEST_MS: Final = 64_000
"""The longest interval that 16 bits of 1/1024 s can carry, in ms."""


def matches(name: str, head: str) -> bool:
    """Tell whether a file says that it holds intervals."""
    return (
        name.lower().endswith(".hrm")
        and head.startswith("[Params]")
        and "Interval=238" in head.splitlines()
    )


def is_plain_column(head: str) -> bool:
    """Tell whether a file is a column of whole numbers, which may be intervals."""
    lines = [line.strip() for line in head.split("\n")[:20]]
    whole = [line for line in lines if line]
    return len(whole) >= 2 and all(line.isdecimal() and line.isascii() for line in whole)


def parse(
    lines: Iterable[str], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the intervals of a file, each at the time of the beat that ends it.

    Raises:
        FileRefused: There are more than a recording of years has.
    """
    tally.say_unit("ms")
    found: list[Sample] = []
    offset_ms = 0
    in_section: bool | None = None
    for line_number, line in enumerate(lines, start=1):
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
        tally.row()
        interval_ms = number(text)
        if interval_ms is None or not 0 < interval_ms <= _LONGEST_MS:
            tally.reject(Reason.BAD_NUMBER, line_number)
            continue
        offset_ms += round(interval_ms)
        found.append(Sample(offset_ms, "rr_interval", float(round(interval_ms))))
    return found

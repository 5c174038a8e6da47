"""
Polar H10: notifications of a chest strap, as CSV with columns epoch_s, hr_bpm and rr_ms.

A notification holds a heart rate and 0, 1 or 2 intervals; a second interval stands on a row of its
own with a blank heart rate. With ectopic beats the averaged rate and 60000/RR differ strongly:
both are right.
"""

from collections.abc import Iterable
from typing import Final

from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.fields import number
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason

KIND: Final = "polar_h10"
_HEADING: Final = "epoch_s,hr_bpm,rr_ms"


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is such a recording."""
    return head.split("\n", 1)[0].strip() == _HEADING


def parse(
    lines: Iterable[str], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return heart rates and intervals in the order in which they were notified.

    Raises:
        FileRefused: There are more than a recording of years has.
    """
    tally.zone = "UTC"
    tally.say_unit("/min")
    tally.say_unit("ms")
    found: list[Sample] = []
    last_ms = 0
    for line_number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if text == _HEADING:
            tally.passed_over += 1
            continue
        tally.row()
        fields = text.split(",")
        if len(fields) != 3:
            tally.reject(Reason.UNREADABLE, line_number)
            continue
        epoch_s = number(fields[0])
        if epoch_s is None or epoch_s < 0:
            tally.reject(Reason.BAD_TIME, line_number)
            continue
        at_ms = round(epoch_s * 1000)
        if at_ms < last_ms:
            tally.reject(Reason.NOT_ASCENDING, line_number)
            continue
        samples = _samples(at_ms, fields[1], fields[2])
        if not samples:
            reason = Reason.BAD_NUMBER if fields[1] or fields[2] else Reason.NO_VALUE
            tally.reject(reason, line_number)
            continue
        last_ms = at_ms
        found += samples
    return found


def _samples(at_ms: int, rate: str, interval: str) -> list[Sample]:
    """Return the samples of one row; none if a field is neither blank nor a number."""
    bpm, rr_ms = number(rate), number(interval)
    if (rate and (bpm is None or bpm < 0)) or (interval and (rr_ms is None or rr_ms <= 0)):
        return []
    samples = []
    if bpm == 0:
        samples.append(Sample(at_ms, "heart_rate", None, SampleFault.OFF_BODY))
    elif bpm is not None:
        samples.append(Sample(at_ms, "heart_rate", bpm))
    if rr_ms is not None:
        samples.append(Sample(at_ms, "rr_interval", rr_ms))
    return samples

"""
Polar H10: notifications of a chest strap, as CSV with columns epoch_s, hr_bpm and rr_ms.

A notification holds a heart rate and 0, 1 or 2 intervals; a second interval stands on a row of its
own with a blank heart rate. With ectopic beats the averaged rate and 60000/RR differ strongly:
both are right.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from simulators.recordings.fields import number
from simulators.recordings.sample import Sample, SampleFault
from simulators.recordings.tally import ParseTally, Reason

KIND: Final = "polar_h10"
_HEADING: Final = "epoch_s,hr_bpm,rr_ms"


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is such a recording."""
    return head.startswith(_HEADING)


def parse(lines: Iterable[str], tally: ParseTally) -> Iterator[Sample]:
    """Yield heart rates and intervals in the order in which they were notified."""
    last_ms = 0
    for line in lines:
        text = line.strip()
        if not text:
            continue
        if text == _HEADING:
            tally.passed_over += 1
            continue
        tally.rows += 1
        fields = text.split(",")
        if len(fields) != 3:
            tally.reject(Reason.UNREADABLE)
            continue
        epoch_s = number(fields[0])
        if epoch_s is None or epoch_s < 0:
            tally.reject(Reason.BAD_TIME)
            continue
        at_ms = round(epoch_s * 1000)
        if at_ms < last_ms:
            tally.reject(Reason.NOT_ASCENDING)
            continue
        samples = _samples(at_ms, fields[1], fields[2])
        if not samples:
            tally.reject(Reason.BAD_NUMBER if fields[1] or fields[2] else Reason.NO_VALUE)
            continue
        last_ms = at_ms
        yield from samples


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

"""
TCX: a training as Garmin's Training Center XML, which Polar Flow and others export too.

Each Trackpoint has a time in UTC and may have a heart rate in beats per minute.
"""

from collections.abc import Iterable
from typing import Final

from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.fields import number
from recordings.parsing.instants import instant_ms
from recordings.parsing.xml_stream import Start, events
from recordings.sample import Sample, SampleFault
from recordings.tally import ParseTally, Reason, in_order

KIND: Final = "tcx"


def matches(_name: str, head: str) -> bool:
    """Tell whether a file is a training in TCX."""
    return head.lstrip().startswith("<") and "<TrainingCenterDatabase" in head


def parse(
    chunks: Iterable[bytes], tally: ParseTally, _options: ReadOptions = NO_OPTIONS
) -> list[Sample]:
    """
    Return the heart rates of a training in the order of time; count each in *tally*.

    Raises:
        FileRefused: The XML is malformed, or the file too large.
    """
    tally.zone = "UTC"
    tally.say_unit("/min")
    found: list[Sample] = []
    path: list[str] = []
    time: str | None = None
    rate: str | None = None
    line = 0
    for event in events(chunks):
        if isinstance(event, Start):
            path.append(event.name)
            if event.name == "Trackpoint":
                time, rate, line = None, None, event.line
            continue
        if path[-2:] == ["Trackpoint", "Time"]:
            time = event.text.strip()
        elif path[-3:] == ["Trackpoint", "HeartRateBpm", "Value"]:
            rate = event.text.strip()
        elif event.name == "Trackpoint":
            found += _samples(time, rate, tally, line)
        path.pop()
    return in_order(found, tally)


def _samples(time: str | None, rate: str | None, tally: ParseTally, line: int) -> list[Sample]:
    """Return the sample of one track point, or none."""
    if rate is None:
        tally.passed_over += 1
        return []
    tally.row()
    at_ms, bpm = instant_ms(time), number(rate)
    if at_ms is None:
        tally.reject(Reason.BAD_TIME, line)
    elif bpm is None or bpm < 0:
        tally.reject(Reason.BAD_NUMBER, line)
    elif bpm == 0:
        return [Sample(at_ms, "heart_rate", None, SampleFault.OFF_BODY)]
    else:
        return [Sample(at_ms, "heart_rate", bpm)]
    return []

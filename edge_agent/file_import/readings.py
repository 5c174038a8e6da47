"""The readings of a file as measurements of a bound sensor."""

from collections import Counter
from pathlib import Path

import msgspec

from edge_agent.errors import FileNotImported
from edge_agent.values.measurement import Measurement
from recordings import index
from recordings.errors import RecordingError
from recordings.files import shown
from recordings.options import ReadOptions
from recordings.sample import Sample
from recordings.tally import ParseTally
from wire.quantities import BY_NAME
from wire.refusals import Refusal


class FileReadings(msgspec.Struct, frozen=True):
    """What a file holds."""

    format: str
    measurements: list[Measurement]
    """In ascending order of time, also those that are a fault without a value."""
    refused: Counter[str]
    """Readings that the reader refused, by reason."""


def read(path: Path, sensor: str, options: ReadOptions) -> FileReadings:
    """
    Return the readings of the file at *path*, as measurements of *sensor*.

    Raises:
        FileNotImported: It is not one file of one format, it is refused, or its times are local
            and no zone is said.
    """
    found = index.find(path, options)
    if found.passed_over or len(found.recordings) != 1 or len(found.recordings[0].tracks) != 1:
        reasons = [f"{shown(path, p.path, p.member)}: {p.reason}" for p in found.passed_over]
        raise FileNotImported(
            f"the source is not one file of readings ({'; '.join(reasons) or 'several or none'})."
            " Name one file; `vitalveil simulate replay --list --source FILE` says how it is read"
        )
    [track] = found.recordings[0].tracks
    tally = ParseTally()
    try:
        samples = track.samples(tally)
    except RecordingError as exc:
        raise FileNotImported(str(exc)) from None
    if tally.zone is None:
        raise FileNotImported(
            "the file does not say in which zone its times are. Say it with --zone, such as"
            " --zone Europe/Paris"
        )
    measurements = [_measurement(sensor, sample) for sample in samples]
    return FileReadings(
        track.format.kind,
        measurements,
        Counter({str(reason): count for reason, count in tally.bad.items()}),
    )


def _measurement(sensor: str, sample: Sample) -> Measurement:
    quantity = BY_NAME[sample.quantity]
    fault = Refusal(sample.fault.value) if sample.fault is not None else None
    steps = None if sample.value is None else quantity.to_steps(sample.value)
    return Measurement(sensor, quantity.code, sample.offset_ms, steps, fault)

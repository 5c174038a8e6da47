"""The output of `vitalveil simulate replay --list` and `--print`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from simulators.errors import RecordingError
from simulators.people.people import Person
from simulators.recordings import index
from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally


class Entry(msgspec.Struct, frozen=True):
    """A recording in a list."""

    kind: str
    label: str
    hours: float
    rows: int
    samples: dict[str, int]
    """Samples with a value, by quantity."""
    missing_share: float
    """Rows without a value: faults, blanks, duplicates and unreadable ones."""
    faults: dict[str, int]
    bad_rows: dict[str, int]
    attribution: str


class Listing(msgspec.Struct, frozen=True):
    """Every recording below a folder."""

    recordings: list[Entry]
    damaged_files: int


def listing_of(source: Path) -> Listing:
    """Return the recordings at or below *source*."""
    found = index.find(source)
    entries = []
    damaged = len(found.damaged)
    for recording in found.recordings:
        try:
            entries.append(_entry(recording))
        except RecordingError:
            damaged += 1
    return Listing(entries, damaged)


def _entry(recording: index.Recording) -> Entry:
    tally = ParseTally()
    tracks = recording.load(tally)
    samples = [sample for track in tracks for sample in track]
    faults = [sample.fault for sample in samples if sample.fault is not None]
    values = [sample.quantity for sample in samples if sample.fault is None]
    lost = len(faults) + sum(tally.bad.values())
    length_ms = max(t[-1].offset_ms for t in tracks) - min(t[0].offset_ms for t in tracks)
    return Entry(
        kind=recording.kind,
        label=recording.label,
        hours=round(length_ms / 3_600_000, 2),
        rows=tally.rows,
        samples={q: values.count(q) for q in sorted(set(values))},
        missing_share=round(lost / max(1, tally.rows), 4),
        faults={str(f): faults.count(f) for f in sorted(set(faults))},
        bad_rows={str(reason): count for reason, count in sorted(tally.bad.items())},
        attribution=recording.attribution(),
    )


def lines_of(listing: Listing) -> Iterator[str]:
    """Yield *listing* as lines of text."""
    for entry in listing.recordings:
        holds = ", ".join(f"{count} {quantity}" for quantity, count in entry.samples.items())
        yield f"{entry.kind}  {entry.label}"
        yield f"    {entry.hours} h, {entry.rows} rows: {holds}"
        yield f"    missing {entry.missing_share:.2%} {_counts(entry.faults | entry.bad_rows)}"
        yield f"    {entry.attribution}"
    if listing.damaged_files:
        yield f"{listing.damaged_files} file(s) damaged or empty, left out"


def _counts(counts: dict[str, int]) -> str:
    inside = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"({inside})" if inside else ""


class _Printed(msgspec.Struct, frozen=True):
    person: str
    sensor: str
    record: int
    offset_ms: int
    quantity: str
    value: float | None
    fault: str | None


def printed(people: Sequence[Person], *, until_ms: float) -> Iterator[bytes]:
    """Yield the samples of each sensor up to *until_ms* of its recording, as lines of JSON."""
    for person in people:
        for sensor in person.sensors:
            for number, sample in enumerate(sensor.samples(), start=1):
                if sample.offset_ms > until_ms:
                    break
                yield _line(person.name, sensor.address, number, sample)


def _line(person: str, address: str, number: int, sample: Sample) -> bytes:
    return msgspec.json.encode(
        _Printed(
            person,
            address,
            number,
            sample.offset_ms,
            sample.quantity,
            sample.value,
            sample.fault,
        )
    )

"""The output of `vitalveil simulate replay --list` and `--print`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from recordings import index
from recordings.errors import FileReason, FileRefused, RecordingError
from recordings.files import PassedOver, shown
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.sample import Sample
from recordings.tally import ParseTally
from simulators.people.people import Person


class FileEntry(msgspec.Struct, frozen=True):
    """A file that was read."""

    path: str
    """Below the source; the member of an archive follows after a colon."""
    format: str
    encoding: str | None
    language: str | None
    """Of the headings."""
    unit: str | None
    """As the file writes it."""
    zone: str | None
    """None for local times without a zone."""
    date_order: str | None
    hours: float
    """From the first reading to the last."""
    rows: int
    """Rows or records with readings, good or bad."""
    readings: int
    """How many have a value."""
    quantities: dict[str, int]
    """Readings with a value, by quantity."""
    refused: dict[str, int]
    """Readings without a usable value, by reason."""
    first_lines: dict[str, int]
    """The first line, or record, that was refused for a reason."""
    other_rows: int
    """Rows of another kind, such as headings, alarms and insulin."""
    attribution: str


class PassedOverEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that was not read."""

    path: str
    reason: FileReason
    line: int | None = None
    """The line that shows the reason."""


class Listing(msgspec.Struct, frozen=True):
    """Every file at or below a source."""

    files: list[FileEntry]
    passed_over: list[PassedOverEntry]


def listing_of(source: Path, options: ReadOptions = NO_OPTIONS) -> Listing:
    """Return the files at or below *source*."""
    found = index.find(source, options)
    entries = []
    passed_over = [*passed_over_of(source, found.passed_over)]
    for recording in found.recordings:
        for track in recording.tracks:
            path = shown(source, track.file.path, track.file.member)
            try:
                entries.append(_entry(path, track, recording.attribution()))
            except FileRefused as exc:
                passed_over.append(PassedOverEntry(path, exc.reason, exc.line))
            except RecordingError as exc:
                passed_over.append(PassedOverEntry(path, exc.reason))
    return Listing(entries, passed_over)


def passed_over_of(source: Path, found: Iterable[PassedOver]) -> Iterator[PassedOverEntry]:
    """Yield what was *found* at or below *source* and is not read."""
    for one in found:
        yield PassedOverEntry(shown(source, one.path, one.member), one.reason, one.line)


def _entry(path: str, track: index.Track, attribution: str) -> FileEntry:
    tally = ParseTally()
    samples = track.samples(tally)
    values = Counter(sample.quantity for sample in samples if sample.fault is None)
    refused = Counter(str(sample.fault) for sample in samples if sample.fault is not None)
    refused.update({str(reason): count for reason, count in tally.bad.items()})
    if not values and not refused:
        raise FileRefused(FileReason.NO_READINGS)
    length_ms = samples[-1].offset_ms - samples[0].offset_ms if samples else 0
    return FileEntry(
        path=path,
        format=track.format.kind,
        encoding=tally.encoding,
        language=tally.language,
        unit=tally.unit,
        zone=tally.zone,
        date_order=tally.date_order,
        hours=round(length_ms / 3_600_000, 2),
        rows=tally.rows,
        readings=values.total(),
        quantities=dict(sorted(values.items())),
        refused=dict(sorted(refused.items())),
        first_lines={str(r): line for r, line in sorted(tally.first_lines.items())},
        other_rows=tally.passed_over,
        attribution=attribution,
    )


def lines_of(listing: Listing) -> Iterator[str]:
    """Yield *listing* as lines of text."""
    for entry in listing.files:
        said = [entry.language, entry.unit, entry.date_order, entry.encoding]
        yield f"{entry.path}  {', '.join([entry.format, *filter(None, said)])}"
        yield f"    {entry.zone or 'local times, no zone said'}, {entry.hours} h: " + ", ".join(
            f"{count} {quantity}" for quantity, count in entry.quantities.items()
        )
        for reason, count in entry.refused.items():
            line = entry.first_lines.get(reason)
            yield f"    {count} refused: {reason}" + (f", first in line {line}" if line else "")
        yield f"    {entry.attribution}"
    yield from passed_over_lines(listing.passed_over)


def passed_over_lines(entries: Iterable[PassedOverEntry]) -> Iterator[str]:
    """Yield one line for each file that was not read, with the remedy where there is one."""
    for entry in entries:
        refusal = FileRefused(entry.reason, line=entry.line)
        where = f", line {entry.line}" if entry.line is not None else ""
        yield f"not read: {entry.path} ({entry.reason}{where}) {refusal.remedy or ''}".rstrip()


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

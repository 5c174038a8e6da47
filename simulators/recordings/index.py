"""Every recording at or below a folder, in any known format."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from simulators.errors import NothingInIt, Unreadable
from simulators.recordings import (
    attribution,
    dexcom,
    files,
    libreview,
    polar_h10,
    polar_rr,
    t1d_uom,
)
from simulators.recordings.sample import Sample
from simulators.recordings.tally import ParseTally

Parser = Callable[[Iterable[str], ParseTally], Iterator[Sample]]


class Format(msgspec.Struct, frozen=True):
    """A kind of file: how to recognise it, and how to read it."""

    kind: str
    sensor: str
    """The kind of sensor that wrote it."""
    matches: Callable[[str, str], bool]
    parse: Parser


FORMATS: Final = (
    Format(
        t1d_uom.KIND, "wrist heart-rate sensor", t1d_uom.is_heart_rate, t1d_uom.parse_heart_rate
    ),
    Format(t1d_uom.KIND, "CGM sensor", t1d_uom.is_glucose, t1d_uom.parse_glucose),
    Format(polar_h10.KIND, "chest strap", polar_h10.matches, polar_h10.parse),
    Format(dexcom.KIND, "CGM sensor", dexcom.matches, dexcom.parse),
    Format(libreview.KIND, "CGM sensor", libreview.matches, libreview.parse),
    Format(polar_rr.KIND, "RR recorder", polar_rr.matches, polar_rr.parse),
)


class Track(msgspec.Struct, frozen=True):
    """The recording of one sensor: one file."""

    format: Format
    file: files.SourceFile

    def samples(self, tally: ParseTally | None = None) -> Iterator[Sample]:
        """
        Yield the samples, and count rows in *tally*.

        Raises:
            Unreadable: The file is damaged.
        """
        return self.format.parse(self.file.lines(), tally if tally is not None else ParseTally())


class Recording(msgspec.Struct, frozen=True):
    """All recordings of one person over the same time."""

    kind: str
    label: str
    """Where it lies. It may name a person, and is only shown to the user of the command."""
    tracks: tuple[Track, ...]

    def load(self, tally: ParseTally | None = None) -> list[list[Sample]]:
        """
        Return the samples of each track.

        Raises:
            NothingInIt: A track has none.
            Unreadable: A file is damaged.
        """
        loaded = [list(track.samples(tally)) for track in self.tracks]
        if not all(loaded):
            raise NothingInIt(self.kind)
        return loaded

    def attribution(self) -> str:
        """
        Return the sources and licences of the tracks.

        Raises:
            Unreadable: A file is damaged.
        """
        if self.kind == t1d_uom.KIND:
            return attribution.T1D_UOM
        return attribution.attribution_of(self.tracks[0].file.lines())


class Found(msgspec.Struct, frozen=True):
    """The recordings below a folder, and the files that could not be read."""

    recordings: list[Recording]
    damaged: list[Unreadable]


def find(source: Path) -> Found:
    """Return every recording at or below *source*, those with the most quantities first."""
    damaged: list[Unreadable] = []
    people: dict[tuple[str, str], list[Track]] = {}
    for file in files.find(source):
        if isinstance(file, Unreadable):
            damaged.append(file)
            continue
        file_format = next((f for f in FORMATS if f.matches(file.name, file.head)), None)
        if file_format is not None:
            key = (file_format.kind, _label(source, file))
            people.setdefault(key, []).append(Track(file_format, file))
    recordings = [
        Recording(kind, label, tuple(sorted(tracks, key=lambda t: FORMATS.index(t.format))))
        for (kind, label), tracks in people.items()
    ]
    order = [f.kind for f in FORMATS]
    recordings.sort(key=lambda r: (-len(r.tracks), order.index(r.kind), r.label))
    return Found(recordings, damaged)


def _label(source: Path, file: files.SourceFile) -> str:
    """Return the part of the path that the files of one person share, and no others."""
    person = t1d_uom.person_of(file.name)
    if person is not None:
        # Glucose and sleep lie in two folders side by side.
        where = file.path if file.member is not None else file.path.parent.parent
        return f"{where.name}, person {person}"
    path = file.path.name if file.path == source else str(file.path.relative_to(source))
    return path if file.member is None else f"{path}: {file.member}"

"""Every recording below a folder, in any known format, and every file that is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from recordings import attribution, files
from recordings.errors import FileReason, FileRefused, NothingInIt, RecordingError
from recordings.files import PassedOver, SourceFile, shown
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.parsing.text import TextLines, decoded_head
from recordings.sample import Sample
from recordings.tally import ParseTally
from recordings.vendors import (
    apple_health,
    carelink,
    dexcom,
    fit,
    libreview,
    nightscout,
    polar_h10,
    polar_rr,
    t1d_uom,
    tcx,
    tidepool,
)

Parser = Callable[[Any, ParseTally, ReadOptions], list[Sample]]


class Format(msgspec.Struct, frozen=True):
    """A kind of file: how to recognise it, and how to read it."""

    kind: str
    sensor: str
    """The kind of sensor that wrote it."""
    matches: Callable[[str, str], bool]
    """Given the name of a file and its beginning as text."""
    parse: Parser
    is_lines: bool = True
    """Read from lines of text; otherwise from bytes."""


def _never(_name: str, _head: str) -> bool:
    return False


FORMATS: Final = (
    Format(
        t1d_uom.KIND, "wrist heart-rate sensor", t1d_uom.is_heart_rate, t1d_uom.parse_heart_rate
    ),
    Format(t1d_uom.KIND, "CGM sensor", t1d_uom.is_glucose, t1d_uom.parse_glucose),
    Format(polar_h10.KIND, "chest strap", polar_h10.matches, polar_h10.parse),
    Format(dexcom.KIND, "CGM sensor", dexcom.matches, dexcom.parse),
    Format(libreview.KIND, "CGM sensor", libreview.matches, libreview.parse),
    Format(polar_rr.KIND, "RR recorder", polar_rr.matches, polar_rr.parse),
    Format(carelink.KIND, "CGM sensor", carelink.matches, carelink.parse),
    Format(nightscout.KIND, "CGM sensor", nightscout.matches, nightscout.parse, is_lines=False),
    Format(tidepool.KIND, "CGM sensor", tidepool.matches, tidepool.parse, is_lines=False),
    Format(apple_health.KIND, "phone", apple_health.matches, apple_health.parse, is_lines=False),
    Format(tcx.KIND, "sports watch", tcx.matches, tcx.parse, is_lines=False),
    Format(fit.KIND, "sports watch", _never, fit.parse, is_lines=False),
)
_FIT: Final = FORMATS[-1]
KINDS: Final = tuple(dict.fromkeys(known.kind for known in FORMATS))
_PLAIN: Final = next(known for known in FORMATS if known.kind == polar_rr.KIND)


class Track(msgspec.Struct, frozen=True):
    """The recording of one sensor: one file."""

    format: Format
    file: SourceFile
    options: ReadOptions = NO_OPTIONS

    def samples(self, tally: ParseTally | None = None) -> list[Sample]:
        """
        Return the samples, and count rows in *tally*.

        Raises:
            RecordingError: The file is damaged, or refused as a whole.
        """
        tally = tally if tally is not None else ParseTally()
        if not self.format.is_lines:
            return self.format.parse(self.file.chunks(), tally, self.options)
        lines = TextLines(self.file.chunks())
        try:
            return self.format.parse(lines, tally, self.options)
        finally:
            tally.encoding = lines.encoding


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
            RecordingError: A file is damaged, or refused as a whole.
        """
        loaded = [track.samples(tally) for track in self.tracks]
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
        return attribution.attribution_of(self.tracks[0].file.chunks())


class Found(msgspec.Struct, frozen=True):
    """The recordings below a folder, and what is none."""

    recordings: list[Recording]
    passed_over: list[PassedOver]


def find(source: Path, options: ReadOptions = NO_OPTIONS) -> Found:
    """
    Return every recording at or below *source*, those with the most quantities first.

    Args:
        source: A file or a folder.

        options: The user's answers for files that leave a question open.
    """
    passed_over: list[PassedOver] = []
    people: dict[tuple[str, str], list[Track]] = {}
    for file in files.find(source):
        if isinstance(file, PassedOver):
            passed_over.append(file)
            continue
        try:
            known = format_of(file, options)
        except RecordingError as exc:
            passed_over.append(PassedOver(file.path, file.member, exc.reason))
            continue
        key = (known.kind, _label(source, file))
        people.setdefault(key, []).append(Track(known, file, options))
    recordings = [
        Recording(kind, label, tuple(sorted(tracks, key=lambda t: FORMATS.index(t.format))))
        for (kind, label), tracks in people.items()
    ]
    order = [known.kind for known in FORMATS]
    recordings.sort(key=lambda r: (-len(r.tracks), order.index(r.kind), r.label))
    return Found(recordings, passed_over)


def format_of(file: SourceFile, options: ReadOptions) -> Format:
    """
    Return the format of *file*.

    Raises:
        RecordingError: There is none, it is not text, or the user must name it.
    """
    if fit.is_fit(file.head):
        return _FIT
    head = decoded_head(file.head)
    found = next((known for known in FORMATS if known.matches(file.name, head)), None)
    if found is not None:
        return found
    if not polar_rr.is_plain_column(head):
        raise FileRefused(FileReason.UNKNOWN_FORMAT)
    if options.format == polar_rr.KIND or attribution.is_published(file.chunks()):
        return _PLAIN
    raise FileRefused(FileReason.FORMAT_NOT_SAID)


def _label(source: Path, file: SourceFile) -> str:
    """Return the part of the path that the files of one person share, and no others."""
    person = t1d_uom.person_of(file.name)
    if person is not None:
        # Glucose and sleep lie in two folders side by side.
        where = file.path if file.member is not None else file.path.parent.parent
        return f"{where.name}, person {person}"
    return shown(source, file.path, file.member)

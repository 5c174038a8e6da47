"""The package that a person gets: one ZIP file with their data in all formats."""

import datetime as dt
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO, Final

import msgspec

from formats import open_mhealth, spreadsheet
from formats.blood_pressure import joined
from formats.fhir import bundle
from formats.observed import Observed
from formats.person import Person

_README: Final = """\
Ceci est une copie de vos donnees (RGPD, articles 15 et 20).
This is a copy of your data (GDPR, articles 15 and 20).

observations.csv      every observation, for a spreadsheet
data-dictionary.csv   what its columns and quantities mean
fhir-bundle.json      the same in FHIR R4, with your consents, for other health services
open-mhealth.ndjson   the same in Open mHealth, one data point per line
decisions.json        what you decided, for what, and until when
identity.json         what is kept about who you are
"""


class Contents(msgspec.Struct, frozen=True):
    """The data of a person for the package."""

    person: Person
    documents: Mapping[str, bytes]
    """JSON files by name, which are included as they are stored."""
    observed: Callable[[], Iterable[Observed]]
    """Returns all observations; called once for each format, as they may exceed the memory."""
    made_at: dt.datetime
    version: str
    """The version of VitalVeil that makes the package."""

    def __repr__(self) -> str:
        return "Contents(…)"


class _Counted:
    """Counts the observations that are read from *source*."""

    def __init__(self, source: Iterable[Observed]) -> None:
        self._source = source
        self.count = 0

    def __iter__(self) -> Iterator[Observed]:
        for one in self._source:
            self.count += 1
            yield one


def write(out: BinaryIO, contents: Contents) -> int:
    """Write the package into *out*, which need not seek; return the number of observations."""
    counted = _Counted(contents.observed())
    made_at = contents.made_at
    parts: dict[str, Iterable[bytes]] = {
        "README.txt": [_README.encode()],
        **{name: [_indented(document)] for name, document in contents.documents.items()},
        "data-dictionary.csv": spreadsheet.dictionary(),
        "observations.csv": spreadsheet.lines(counted),
        "open-mhealth.ndjson": open_mhealth.lines(joined(contents.observed()), made_at=made_at),
        "fhir-bundle.json": bundle.lines(
            contents.person,
            joined(contents.observed()),
            made_at=made_at,
            version=contents.version,
        ),
    }
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, pieces in parts.items():
            with archive.open(name, "w", force_zip64=True) as part:
                for piece in pieces:
                    part.write(piece)
    return counted.count


def _indented(document: bytes) -> bytes:
    return msgspec.json.format(document, indent=2) + b"\n"

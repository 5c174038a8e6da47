"""
The package that a person gets: one ZIP archive with their data, for people and for programs.

Pages in three languages tell everything that GDPR art. 15 wants told; tables, FHIR, Open mHealth
and JSON are structured, commonly used and machine-readable (art. 20).
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from formats import open_mhealth, spreadsheet
from formats.access import page
from formats.access.document import Access
from formats.access.summary import Summary
from formats.access.words import PAGES
from formats.archive import Archive
from formats.blood_pressure import joined
from formats.fhir import bundle
from formats.observed import Aggregated, Observed
from formats.person import Person

_OBSERVATIONS: Final = "observations.csv"
_AGGREGATES: Final = "aggregates.csv"
_DICTIONARY: Final = "data-dictionary.csv"
_FHIR: Final = "fhir-bundle.json"
_OPEN_MHEALTH: Final = "open-mhealth.ndjson"
_ABOUT: Final = "about-you.json"
_FILES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ", ".join(PAGES.values()): "file_page",
        _OBSERVATIONS: "file_observations",
        _AGGREGATES: "file_aggregates",
        _DICTIONARY: "file_dictionary",
        _FHIR: "file_fhir",
        _OPEN_MHEALTH: "file_omh",
        _ABOUT: "file_about",
        "decisions.json": "file_decisions",
        "identity.json": "file_identity",
    }
)
"""Which words describe each file."""


class Contents(msgspec.Struct, frozen=True):
    """The data of a person for the package."""

    person: Person
    access: Access
    documents: Mapping[str, bytes]
    """JSON files by name, which are included as they are stored."""
    observed: Callable[[], Iterable[Observed]]
    """Returns all observations; called once for each format, as they may exceed the memory."""
    aggregated: Callable[[], Iterable[Aggregated]]
    """Returns all aggregates; called once."""
    made_at: dt.datetime
    version: str
    """The version of VitalVeil that makes the package."""

    def __repr__(self) -> str:
        return "Contents(…)"


def write(archive: Archive, contents: Contents) -> int:
    """Write the package into *archive*, and finish it; return the number of observations."""
    for name, pieces in _parts(contents, summary := Summary()):
        archive.add(name, pieces)
    archive.finish()
    return summary.count


def _parts(contents: Contents, summary: Summary) -> Iterator[tuple[str, Iterable[bytes]]]:
    made_at = contents.made_at
    yield _OBSERVATIONS, spreadsheet.lines(summary.of(contents.observed()))
    # The pages come after the table, because what they sum up was counted for it.
    for tag, name in PAGES.items():
        text = page.render(contents.access, summary.series, _FILES, tag)
        yield name, [text.encode()]
    yield _AGGREGATES, spreadsheet.aggregate_lines(contents.aggregated())
    yield _DICTIONARY, spreadsheet.dictionary()
    yield _ABOUT, [_indented(msgspec.json.encode(contents.access))]
    for name, document in contents.documents.items():
        yield name, [_indented(document)]
    yield _OPEN_MHEALTH, open_mhealth.lines(joined(contents.observed()), made_at=made_at)
    yield (
        _FHIR,
        bundle.lines(
            contents.person, joined(contents.observed()), made_at=made_at, version=contents.version
        ),
    )


def _indented(document: bytes) -> bytes:
    return msgspec.json.format(document, indent=2) + b"\n"

"""
The elements of an XML file as events, in bounded memory and without entities.

A document type may declare elements, as Apple's export does. A declaration of an entity refuses
the file: neither "billion laughs" nor a file of this machine can be read through it.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from xml.parsers import expat

from recordings.errors import FileReason, FileRefused

_MAX_DEPTH: Final = 64
_MAX_TOKEN: Final = 1_048_576
"""The most bytes in a row without the end of a token."""
_MAX_TEXT: Final = 4_096
"""The most characters of the text of one element."""
_MAX_ELEMENTS: Final = 100_000_000
_SLICE: Final = 65_536


class Start(NamedTuple):
    """An element begins."""

    name: str
    """Without its namespace."""
    attributes: dict[str, str]
    line: int


class End(NamedTuple):
    """An element ends."""

    name: str
    text: str
    """The text directly within it, its beginning at least."""


class _Collector:
    """Turns the calls of the parser into events."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self.events: list[Start | End] = []
        self.has_moved = False
        self._texts: list[str] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.has_moved = True
        self._count += 1
        if len(self._texts) >= _MAX_DEPTH or self._count > _MAX_ELEMENTS:
            raise FileRefused(FileReason.MALFORMED, line=self._parser.CurrentLineNumber)
        self._texts.append("")
        self.events.append(Start(_local(name), attributes, self._parser.CurrentLineNumber))

    def end(self, name: str) -> None:
        self.has_moved = True
        self.events.append(End(_local(name), self._texts.pop()))

    def text(self, text: str) -> None:
        self.has_moved = True
        if self._texts and len(self._texts[-1]) < _MAX_TEXT:
            self._texts[-1] += text

    def move(self, *_: object) -> None:
        self.has_moved = True

    def doctype(self, _name: str, system: str | None, *_: object) -> None:
        if system is not None:  # Declarations in another file.
            self.refuse()

    def refuse(self, *_: object) -> int:
        raise FileRefused(FileReason.MALFORMED, line=self._parser.CurrentLineNumber)


def events(chunks: Iterable[bytes]) -> Iterator[Start | End]:
    """
    Yield the beginnings and ends of the elements in *chunks*.

    Raises:
        FileRefused: The file breaks the grammar of XML, declares an entity, or is nested too deep.
    """
    parser = expat.ParserCreate()
    collector = _Collector(parser)
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.text
    parser.StartDoctypeDeclHandler = collector.doctype
    parser.EntityDeclHandler = collector.refuse
    parser.UnparsedEntityDeclHandler = collector.refuse
    parser.ExternalEntityRefHandler = collector.refuse
    parser.CommentHandler = parser.ProcessingInstructionHandler = collector.move
    parser.ElementDeclHandler = parser.AttlistDeclHandler = collector.move
    waiting_bytes = 0
    for data in _slices(chunks):
        collector.has_moved = False
        _parse(parser, data, is_final=False)
        waiting_bytes = 0 if collector.has_moved else waiting_bytes + len(data)
        if waiting_bytes > _MAX_TOKEN:
            raise FileRefused(FileReason.LINE_TOO_LONG, line=parser.CurrentLineNumber)
        yield from collector.events
        collector.events.clear()
    _parse(parser, b"", is_final=True)
    yield from collector.events


def _slices(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _SLICE):
            yield chunk[start : start + _SLICE]


def _parse(parser: expat.XMLParserType, data: bytes, *, is_final: bool) -> None:
    try:
        parser.Parse(data, is_final)
    except expat.ExpatError as exc:
        raise FileRefused(FileReason.MALFORMED, line=exc.lineno) from None


def _local(name: str) -> str:
    return name.rpartition(":")[2]

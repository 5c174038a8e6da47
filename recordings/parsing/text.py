"""
Lines of text from bytes: the encoding is read from the bytes, and memory is bounded.

UTF-8 with and without a mark, UTF-16 of both orders with and without a mark, and Windows-1252 for
lines that are not UTF-8. A line ends with LF or CR LF, or with CR where a file has no LF.
"""

import codecs
import enum
import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from recordings.errors import FileReason, FileRefused

MAX_LINE: Final = 65_536
"""The longest line, in bytes, or in characters of UTF-16."""
MAX_LINES: Final = 5_000_000
_PROBE: Final = 256
_TEXT_CONTROLS: Final = frozenset(b"\t\n\r\f\x1a")


class Encoding(enum.StrEnum):
    """How the characters of a file are written."""

    UTF_8 = "utf-8"
    UTF_8_MARK = "utf-8-sig"
    UTF_16_LE = "utf-16-le"
    UTF_16_BE = "utf-16-be"
    WINDOWS_1252 = "windows-1252"


_MARKS: Final = (
    (b"\xef\xbb\xbf", Encoding.UTF_8_MARK),
    (codecs.BOM_UTF16_LE, Encoding.UTF_16_LE),
    (codecs.BOM_UTF16_BE, Encoding.UTF_16_BE),
)
_UTF_16: Final = frozenset({Encoding.UTF_16_LE, Encoding.UTF_16_BE})


def encoding_of(head: bytes) -> tuple[Encoding, int]:
    """
    Return the encoding of a file that begins with *head*, and the length of its mark in bytes.

    Windows-1252 is told only by a line that is not UTF-8: see `TextLines`.

    Raises:
        FileRefused: The bytes are no text.
    """
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise FileRefused(FileReason.NOT_TEXT)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    probe = head[: _PROBE - _PROBE % 2]
    even, odd = probe[0::2], probe[1::2]
    if odd and not any(odd) and all(even):
        return Encoding.UTF_16_LE, 0
    if odd and not any(even) and all(odd):
        return Encoding.UTF_16_BE, 0
    if any(byte < 32 and byte not in _TEXT_CONTROLS for byte in probe):
        raise FileRefused(FileReason.NOT_TEXT)
    return Encoding.UTF_8, 0


def decoded_head(head: bytes) -> str:
    """
    Return the beginning of a text file as text.

    Raises:
        FileRefused: The bytes are no text.
    """
    encoding, skip = encoding_of(head)
    if encoding in _UTF_16:
        return head[skip:].decode(encoding, errors="ignore").replace("\r\n", "\n")
    text = "\n".join(_decode(line)[0] for line in head[skip:].split(_end_of(head)))
    return text.replace("\r\n", "\n").replace("\r", "\n")


class TextLines:
    """
    The lines of a file, without their ends, each with its number from 1.

    Args:
        chunks: The bytes of the file.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.encoding: Encoding | None = None
        """What was found so far."""
        self.number = 0
        """Of the last line, from 1."""

    def __iter__(self) -> Iterator[str]:
        """
        Yield the lines.

        Raises:
            FileRefused: The bytes are no text, or a line or the file is too long.
        """
        head = next(self._chunks, b"")
        self.encoding, skip = encoding_of(head)
        rest = head[skip:]
        lines = (
            self._of_utf_16(rest, self.encoding)
            if self.encoding in _UTF_16
            else self._of_bytes(rest, _end_of(head))
        )
        for line in lines:
            self.number += 1
            if self.number > MAX_LINES:
                raise FileRefused(FileReason.TOO_LARGE, line=self.number)
            yield line

    def _of_bytes(self, rest: bytes, end: bytes) -> Iterator[str]:
        for chunk in itertools.chain([b""], self._chunks):
            *lines, rest = (rest + chunk).split(end)
            if len(rest) > MAX_LINE:
                raise FileRefused(FileReason.LINE_TOO_LONG, line=self.number + len(lines) + 1)
            for line in lines:
                yield self._text(line)
        if rest:
            yield self._text(rest)

    def _text(self, line: bytes) -> str:
        if len(line) > MAX_LINE:
            raise FileRefused(FileReason.LINE_TOO_LONG, line=self.number + 1)
        text, is_utf_8 = _decode(line)
        if not is_utf_8:
            self.encoding = Encoding.WINDOWS_1252
        return text.removesuffix("\r")

    def _of_utf_16(self, rest: bytes, encoding: Encoding) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        text = decoder.decode(rest)
        for chunk in itertools.chain([b""], self._chunks):
            *lines, text = (text + decoder.decode(chunk)).split("\n")
            if len(text) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
                raise FileRefused(FileReason.LINE_TOO_LONG, line=self.number + 1)
            for line in lines:
                yield line.removesuffix("\r")
        if text:
            yield text.removesuffix("\r")


def _decode(line: bytes) -> tuple[str, bool]:
    """Return *line* as text, and whether it is UTF-8."""
    try:
        return line.decode(), True
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace"), False


def _end_of(head: bytes) -> bytes:
    return b"\r" if b"\r" in head and b"\n" not in head else b"\n"

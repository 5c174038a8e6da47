"""Lines of text from bytes."""

import codecs
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.errors import FileReason, FileRefused
from recordings.parsing.text import MAX_LINE, TextLines, decoded_head

TEXT = "Gerät,Wert\r\nä,1\r\n\r\nende"
LINES = ["Gerät,Wert", "ä,1", "", "ende"]


def in_pieces(whole: bytes, size: int) -> Iterator[bytes]:
    """Yield *whole* in chunks; the first is large enough to tell the encoding, as a file's is."""
    yield whole[:64]
    yield from (whole[n : n + size] for n in range(64, len(whole), size))


@pytest.mark.parametrize(
    ("encoded", "encoding"),
    [
        pytest.param(TEXT.encode(), "utf-8", id="UTF-8"),
        pytest.param(TEXT.encode("utf-8-sig"), "utf-8-sig", id="UTF-8 with a mark"),
        pytest.param(codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-16-le", id="UTF-16 LE"),
        pytest.param(codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16-be", id="UTF-16 BE"),
        pytest.param(TEXT.encode("utf-16-le"), "utf-16-le", id="UTF-16 LE without a mark"),
        pytest.param(TEXT.encode("utf-16-be"), "utf-16-be", id="UTF-16 BE without a mark"),
        pytest.param(TEXT.encode("cp1252"), "windows-1252", id="Windows-1252"),
        pytest.param(TEXT.replace("\r\n", "\n").encode(), "utf-8", id="LF"),
        pytest.param(TEXT.replace("\r\n", "\r").encode(), "utf-8", id="CR"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_encoding_is_read_from_the_bytes(encoded: bytes, encoding: str, size: int) -> None:
    """The same lines come out of every encoding, wherever a chunk ends."""
    lines = TextLines(in_pieces(encoded, size))

    assert list(lines) == LINES
    assert lines.encoding == encoding
    assert lines.number == len(LINES)
    assert decoded_head(encoded).split("\n") == LINES


@pytest.mark.parametrize(
    "content",
    [
        b"\x7fELF\x02\x01\x01\0\0",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"PK\x03\x04\x14\0",
        codecs.BOM_UTF32_LE + "a".encode("utf-32-le"),
        "a,b".encode("utf-32-be"),
    ],
)
def test_bytes_that_are_no_text_are_refused(content: bytes) -> None:
    """A picture, a program and an archive have no lines."""
    with pytest.raises(FileRefused) as raised:
        list(TextLines([content]))

    assert raised.value.reason is FileReason.NOT_TEXT


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_line_without_end_is_refused_before_it_fills_memory(encoding: str) -> None:
    """A gigabyte without a line end is refused after the first chunks."""
    taken = 0

    def gigabyte() -> Iterator[bytes]:
        nonlocal taken
        yield "a\n".encode(encoding)
        while taken < 1 << 30:
            taken += 65_536
            yield "x".encode(encoding).removeprefix(codecs.BOM_UTF16_LE) * 65_536

    with pytest.raises(FileRefused) as raised:
        list(TextLines(gigabyte()))

    assert (raised.value.reason, raised.value.line) == (FileReason.LINE_TOO_LONG, 2)
    assert taken <= 4 * MAX_LINE


@given(st.binary(max_size=300), st.integers(1, 9))
def test_no_bytes_raise_anything_else(content: bytes, size: int) -> None:
    """Any bytes are lines, or refused."""
    try:
        lines = list(TextLines(in_pieces(content, size)))
    except FileRefused:
        return
    assert all("\n" not in line for line in lines)

"""The search for erased data in files: it finds every occurrence, and nothing else."""

import random
from pathlib import Path

import pytest

from tests.support.databases.residue import Search, found_in, row_of

_NEEDLES = {
    "handle": bytes(range(100, 116)),
    "row": bytes.fromhex("01000000 00007f43"),
    "total": bytes.fromhex("00000000 00c05e40"),
    "zeros and one": bytes.fromhex("00000000 00000001"),
}


@pytest.mark.parametrize("name", _NEEDLES)
@pytest.mark.parametrize("is_hexadecimal", [False, True], ids=["raw", "hexadecimal"])
def test_a_needle_is_found_at_every_place(name: str, is_hexadecimal: bool) -> None:
    """A needle is found at the beginning, at the end and at each alignment in between."""
    needle = _NEEDLES[name].hex().encode() if is_hexadecimal else _NEEDLES[name]
    search = Search(_NEEDLES)
    for before in range(9):
        for after in range(9):
            assert search.found(b"\xaa" * before + needle + b"\xaa" * after) == {name}
            assert search.found(b"\xaa" * before + needle[:-1] + b"\xaa" * after) == set()
            assert search.found(b"\xaa" * before + needle[1:] + b"\xaa" * after) == set()


@pytest.mark.parametrize("size", [*range(6), 5_000])
def test_what_is_found_is_what_python_finds(size: int) -> None:
    """
    The search finds the same needles as Python, with many needles in random bytes of a small
    alphabet.
    """
    dice = random.Random(size)
    data = bytes(dice.choices(b"\x00\x01\x02", k=size))
    needles = {str(n): bytes(dice.choices(b"\x00\x01\x02", k=8)) for n in range(200)}
    expected = {name for name, needle in needles.items() if needle in data}
    assert Search(needles).found(data) == expected
    assert size < 8 or 10 < len(expected) < 200


def test_files_of_the_write_ahead_log_are_left_out(tmp_path: Path) -> None:
    """
    Files of the write-ahead log are not searched, because the certificate says that data remain
    there for a time.
    """
    for folder in ("base", "pg_wal"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_bytes(b"x" + _NEEDLES["handle"])
    (tmp_path / "base" / "empty").touch()
    assert found_in([tmp_path], _NEEDLES) == {"handle": [str(tmp_path / "base" / "1")]}


def test_a_row_that_occurs_by_chance_is_not_searched_for() -> None:
    """A row of zero bytes for the most part is refused: the header of an array may equal it."""
    for series, value in ((1, 40.0), (300, 120.0), (70_000, 0.0)):
        with pytest.raises(ValueError, match="by chance"):
            row_of(series, value)
    assert row_of(1, 101.3731) == bytes.fromhex("01000000 07bfca42")
    assert row_of(0x5B3D_71A9, 40.0) == bytes.fromhex("a9713d5b 00002042")

"""Archives: what a person has opens them, nothing else does, and memory does not grow."""

import datetime as dt
import io
import itertools
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest

from formats import archive
from formats.archive import Archive
from formats.errors import Unopened
from tests.support import winzip

AT = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
PASSPHRASE = "correct horse battery staple"
FILES = {"identity.json": b'{"name":"Ada"}', "empty.csv": b"", "values.csv": b"72,/min\n" * 9000}


def made(passphrase: str | None = PASSPHRASE) -> bytes:
    """Return an archive with the files."""
    out = io.BytesIO()
    writing = Archive(out, made_at=AT, passphrase=passphrase)
    for name, content in FILES.items():
        writing.add(name, [content[:7], content[7:]])
    writing.finish()
    return out.getvalue()


def decrypted(sealed: bytes, passphrase: str = PASSPHRASE) -> dict[str, bytes]:
    """Return the files of the plain archive that *sealed* becomes."""
    out = io.BytesIO()
    archive.decrypt(io.BytesIO(sealed), out, passphrase)
    with zipfile.ZipFile(out) as plain:
        return {name: plain.read(name) for name in plain.namelist()}


def test_an_archive_is_what_winzip_describes() -> None:
    """A reader that was written from the description opens every file; the form is AE-2."""
    opened = winzip.opened(made(), PASSPHRASE)
    how_to = opened.pop(archive.FIRST_FILE)
    assert opened == FILES
    assert b"7-Zip" in how_to


def test_only_the_first_file_can_be_read_without_a_passphrase() -> None:
    """It says how to open the others, and tells of no person."""
    with zipfile.ZipFile(io.BytesIO(made())) as plain:
        assert b"passphrase" in plain.read(archive.FIRST_FILE)
        for name in FILES:
            with pytest.raises((RuntimeError, NotImplementedError)):
                plain.read(name)
    assert b"Ada" not in made()


def test_an_archive_is_decrypted_into_a_plain_one() -> None:
    """The command of ours gives the same files."""
    assert decrypted(made()) == FILES


def test_no_damage_and_no_guess_opens_an_archive() -> None:
    """A wrong passphrase, a cut, a flipped bit in a file: refused."""
    whole = made()
    flipped = whole.find(b"values.csv") + 60
    for sealed, passphrase in (
        (whole, "correct horse battery"),
        (whole[:-1], PASSPHRASE),
        (whole[: len(whole) // 2], PASSPHRASE),
        (whole[:flipped] + bytes([whole[flipped] ^ 1]) + whole[flipped + 1 :], PASSPHRASE),
        (b"", PASSPHRASE),
    ):
        with pytest.raises(Unopened):
            decrypted(sealed, passphrase)


def test_a_file_that_somebody_added_is_refused() -> None:
    """Without the passphrase, no file can be added to an archive unnoticed."""
    grown = io.BytesIO(made())
    with zipfile.ZipFile(grown, "a") as adding:
        adding.writestr("your-data.html", "<script>")
    with pytest.raises(Unopened):
        decrypted(grown.getvalue())


def test_an_archive_is_recognised_by_its_beginning() -> None:
    """Also one of which only a part was written; no other ZIP is taken for one."""
    whole = made()
    assert archive.is_archive(whole[: archive.HEAD_BYTES])
    for length in (0, 3, 29, 30, 40):
        assert archive.is_archive(whole[:length])
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as writing:
        writing.writestr("how-to-open-this-vitalveil-exporT.txt", "")
    for head in (other.getvalue(), made(None), b"-----BEGIN", b"P", b"PK\x03\x05"):
        assert not archive.is_archive(head[: archive.HEAD_BYTES]) or head == b"P"


def test_memory_does_not_grow_with_an_archive() -> None:
    """A hundred times as many readings need about as much memory."""

    def peak(lines: int) -> int:
        def rows() -> Iterator[bytes]:
            return (b"2026-06-01T12:00:00.000Z,heart_rate,%d\r\n" % n for n in range(lines))

        class Nowhere(io.RawIOBase):
            """Forgets what is written into it."""

            place = itertools.count()

            def writable(self) -> bool:
                return True

            def write(self, data: object) -> int:
                return len(data)  # type: ignore[arg-type]

        tracemalloc.start()
        writing = Archive(Nowhere(), made_at=AT, passphrase=PASSPHRASE)  # type: ignore[arg-type]
        writing.add("values.csv", rows())
        writing.finish()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(10)
    assert peak(50_000) < peak(500) + 200_000

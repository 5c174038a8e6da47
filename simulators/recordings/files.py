"""
Text files below a folder: plain, .gz, or members of a .tar, .tar.gz or .tar.xz.

A tar archive is read as a stream from its start, because xz cannot be entered in the middle; so
the heads of all members are read in one pass.
"""

import contextlib
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from simulators.errors import Unreadable

_HEAD_BYTES: Final = 4096
_ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz")
_TEXTS: Final = (".csv", ".txt", ".hrm")
_DAMAGE: Final = (OSError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError)


class SourceFile(msgspec.Struct, frozen=True):
    """A text file; *member* is its name inside the archive *path*."""

    path: Path
    member: str | None
    head: str
    """The first characters of the file."""

    @property
    def name(self) -> str:
        """The name of the file, without folders and without .gz."""
        return (self.member or self.path.name).rpartition("/")[2].removesuffix(".gz")

    def lines(self) -> Iterator[str]:
        """
        Yield the lines of the file.

        Raises:
            Unreadable: It is damaged, or may not be read.
        """
        try:
            with _opened(self.path, self.member) as stream:
                # TextIOWrapper does not serve here, because it asks a stream of tar to seek.
                for place, line in enumerate(stream):
                    yield line.decode("utf-8" if place else "utf-8-sig", errors="replace")
        except _DAMAGE as exc:
            raise Unreadable(type(exc).__name__) from None


def find(source: Path) -> Iterator[SourceFile | Unreadable]:
    """Yield every text file at or below *source*, in the order of names, and every damaged one."""
    paths = [source] if source.is_file() else sorted(source.rglob("*"))
    for path in paths:
        name = path.name.lower()
        try:
            if name.endswith(_ARCHIVES) and path.is_file():
                yield from sorted(_members(path), key=lambda file: file.member or "")
            elif name.removesuffix(".gz").endswith(_TEXTS) and path.is_file():
                with _opened(path, None) as stream:
                    yield SourceFile(path, None, _head(stream))
        except _DAMAGE as exc:
            yield Unreadable(type(exc).__name__)


def _members(path: Path) -> Iterator[SourceFile]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith(_TEXTS):
                stream = archive.extractfile(member)
                if stream is not None:
                    yield SourceFile(path, member.name, _head(stream))


@contextlib.contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(path, "rb") as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            with path.open("rb") as plain:
                yield plain
        return
    with tarfile.open(path, "r|*") as archive:
        for entry in archive:
            found = archive.extractfile(entry) if entry.name == member else None
            if found is not None:
                yield found
                return
    raise FileNotFoundError


def _head(stream: IO[bytes]) -> str:
    return stream.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")

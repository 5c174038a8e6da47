"""
Files below a folder: plain, .gz, or members of a .zip, .tar, .tar.gz or .tar.xz.

Links below the folder, devices, pipes and sockets are not opened. What is unpacked is bounded,
and is never written: a name in an archive is only shown. A tar archive is read as a stream from
its start, because xz cannot be entered in the middle; so the heads of all members are read in one
pass.
"""

import contextlib
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from recordings.errors import FileReason, FileRefused, Unreadable

HEAD_BYTES: Final = 65_536
CHUNK_BYTES: Final = 65_536
MAX_BYTES: Final = 8 << 30
"""The largest file, unpacked: an export of Apple Health may have gigabytes."""
_MAX_FILES: Final = 10_000
_MAX_MEMBERS: Final = 1_000
_TARS: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz")
_DAMAGE: Final = (
    OSError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,  # zipfile's, for a method of compression that it lacks.
    RuntimeError,  # zipfile's, for a member with a password.
)


class SourceFile(msgspec.Struct, frozen=True):
    """A file; *member* is its name inside the archive *path*."""

    path: Path
    member: str | None
    head: bytes
    """The first bytes of the file."""

    @property
    def name(self) -> str:
        """The name of the file, without folders and without .gz."""
        return (self.member or self.path.name).rpartition("/")[2].removesuffix(".gz")

    def chunks(self) -> Iterator[bytes]:
        """
        Yield the bytes of the file.

        Raises:
            Unreadable: It is damaged, or may not be read.
            FileRefused: It is larger than a recording of years.
        """
        count = 0
        try:
            with _opened(self.path, self.member) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    count += len(chunk)
                    if count > MAX_BYTES:
                        raise FileRefused(FileReason.TOO_LARGE)
                    yield chunk
        except _DAMAGE as exc:
            raise Unreadable(type(exc).__name__) from None


class PassedOver(msgspec.Struct, frozen=True):
    """A file, link, device or folder that is not read, and why."""

    path: Path
    member: str | None
    reason: FileReason
    line: int | None = None
    """The line that shows the reason."""


def find(source: Path) -> Iterator[SourceFile | PassedOver]:
    """
    Yield every file at or below *source*, in the order of names, and whatever is not read.

    *source* itself may be a link; what lies below it may not.
    """
    if not source.is_dir():
        yield from _at(source)
        return
    count = 0
    closed: list[OSError] = []
    for folder, folders, names in os.walk(source, onerror=closed.append, followlinks=False):
        folders.sort()
        here = Path(folder)
        for name in sorted([*names, *(n for n in folders if (here / n).is_symlink())]):
            count += 1
            if count > _MAX_FILES:
                yield PassedOver(here, None, FileReason.TOO_MANY_FILES)
                return
            yield from _below(here / name)
    for error in closed:
        yield PassedOver(Path(error.filename), None, FileReason.NOT_PERMITTED)


def _below(path: Path) -> Iterator[SourceFile | PassedOver]:
    if path.is_symlink():
        yield PassedOver(path, None, FileReason.SYMBOLIC_LINK)
    else:
        yield from _at(path)


def _at(path: Path) -> Iterator[SourceFile | PassedOver]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            yield PassedOver(path, None, FileReason.NOT_A_FILE)
            return
        name = path.name.lower()
        if name.endswith(_TARS):
            yield from sorted(_tar_members(path), key=lambda found: found.member or "")
        elif name.endswith(".zip"):
            yield from _zip_members(path)
        else:
            with _opened(path, None) as stream:
                yield SourceFile(path, None, stream.read(HEAD_BYTES))
    except _DAMAGE as exc:
        yield PassedOver(path, None, Unreadable(type(exc).__name__).reason)


def _tar_members(path: Path) -> Iterator[SourceFile | PassedOver]:
    count = unpacked = 0
    with _file(path) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            count += 1
            unpacked += member.size
            if count > _MAX_MEMBERS or unpacked > MAX_BYTES:
                yield PassedOver(path, None, FileReason.TOO_MANY_FILES)
                return
            if member.isdir():
                continue
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is None:
                yield PassedOver(path, member.name, FileReason.NOT_A_FILE)
            else:
                yield SourceFile(path, member.name, stream.read(HEAD_BYTES))


def _zip_members(path: Path) -> Iterator[SourceFile | PassedOver]:
    with _file(path) as file, zipfile.ZipFile(file) as archive:
        members = sorted(archive.infolist(), key=lambda member: member.filename)
        for member in members[:_MAX_MEMBERS]:
            if member.is_dir():
                continue
            try:
                with archive.open(member) as stream:
                    yield SourceFile(path, member.filename, stream.read(HEAD_BYTES))
            except _DAMAGE:
                yield PassedOver(path, member.filename, FileReason.DAMAGED)
        if len(members) > _MAX_MEMBERS:
            yield PassedOver(path, None, FileReason.TOO_MANY_FILES)


@contextlib.contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    """Open *path*, unless it became something else than a file since it was found."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError
        yield file


@contextlib.contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    with _file(path) as file:
        if member is None:
            if path.name.lower().endswith(".gz"):
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    yield cast(IO[bytes], unpacked)
            else:
                yield file
            return
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(file) as packed, packed.open(member) as stream:
                yield stream
            return
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for entry in archive:
                found = archive.extractfile(entry) if entry.name == member else None
                if found is not None:
                    yield found
                    return
    raise FileNotFoundError


def shown(source: Path, path: Path, member: str | None) -> str:
    """
    Return where a file lies below *source*, as text that a terminal and JSON can show.

    Bytes that are no text, and control characters, are written as escapes.
    """
    name = path.name if path == source else str(path.relative_to(source))
    whole = name if member is None else f"{name}: {member}"
    text = whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)

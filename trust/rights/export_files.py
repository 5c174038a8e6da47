"""Files of exports: encrypted with a passphrase while they are written, opened, and deleted."""

import enum
import hashlib
import os
from pathlib import Path
from typing import BinaryIO, Final, cast
from uuid import UUID

import msgspec

from formats import archive, cipher, package
from formats.archive import Archive
from formats.cipher import Header, Sealer
from formats.errors import Unopened
from formats.package import Contents
from runtime.causes.files import of_file
from trust.errors import KeyFileError, Refused
from trust.keys import files


class Seal(enum.StrEnum):
    """How an export is encrypted."""

    ZIP = "zip"
    """As a ZIP archive that 7-Zip and others open (AES-256 of WinZip)."""
    SEALED = "sealed"
    """In a form of ours, whose passphrases are slow to guess; `trust export open` opens it."""


class Lock(msgspec.Struct, frozen=True):
    """How an export is encrypted, and with which passphrase."""

    passphrase: str
    seal: Seal = Seal.ZIP

    def __repr__(self) -> str:
        return f"Lock({self.seal})"


_HEAD_BYTES: Final = max(archive.HEAD_BYTES, len(cipher.MAGIC))


class WrittenExport(msgspec.Struct, frozen=True):
    """An export that was written under its temporary name."""

    temporary: Path
    sha256: bytes
    observations: int


def discard(path: Path) -> None:
    """
    Delete the export in *path*; the file may be missing already.

    Raises:
        KeyFileError: The file cannot be deleted, or is no export.
    """
    files.discard(path, is_ours=_is_export, head_bytes=_HEAD_BYTES)


def may_be_export(path: Path) -> bool:
    """Tell whether *path* is an export, or an unreadable file that may be an export."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            return head.startswith(cipher.MAGIC) or (bool(head) and archive.is_archive(head))
    except PermissionError:
        return True
    except OSError:
        return False


def _is_export(head: bytes) -> bool:
    """Tell whether a file that begins with *head* is an export, or the part that was written."""
    return cipher.MAGIC.startswith(head[: len(cipher.MAGIC)]) or archive.is_archive(head)


def check_passphrase(lock: Lock) -> None:
    """
    Check that a passphrase is good enough for the way of encryption.

    Raises:
        Refused: It is too short, or has characters that programs encode differently.
    """
    if lock.seal is not Seal.ZIP:
        return
    if len(lock.passphrase) < archive.MIN_PASSPHRASE:
        raise Refused(
            f"a passphrase of a ZIP archive has at least {archive.MIN_PASSPHRASE} characters,"
            " because anyone who has the file can try many: make one with"
            " `head -c 18 /dev/urandom | base64`"
        )
    if not lock.passphrase.isascii():
        raise Refused(
            "a passphrase of a ZIP archive has letters, digits and signs of ASCII only, because"
            " programs encode others differently"
        )


def write(path: Path, export: UUID, contents: Contents, lock: Lock) -> WrittenExport:
    """
    Write the package to a temporary file beside *path*; the caller renames it once it is recorded.

    Raises:
        KeyFileError: A file exists already at *path*, or the package cannot be written.
    """
    if path.exists():
        raise KeyFileError(path.name, "it is there already", "Choose another file.")
    temporary = files.unfinished(path)
    try:
        with files.create_unfinished(path) as out:
            if lock.seal is Seal.ZIP:
                made = Archive(out, made_at=contents.made_at, passphrase=lock.passphrase)
                count = package.write(made, contents)
            else:
                count = _write_sealed(out, export, contents, lock.passphrase)
            out.flush()
            os.fsync(out.fileno())
        with temporary.open("rb") as sealed:
            digest = hashlib.file_digest(sealed, "sha256").digest()
    except OSError as exc:
        raise files.unwritable(path, exc) from None
    return WrittenExport(temporary, digest, count)


def _write_sealed(out: BinaryIO, export: UUID, contents: Contents, passphrase: str) -> int:
    header = Header(str(export), contents.made_at.isoformat(timespec="seconds"), cipher.new_kdf())
    sealer = Sealer(out, header, passphrase)
    plain = Archive(cast("BinaryIO", sealer), made_at=contents.made_at, passphrase=None)
    count = package.write(plain, contents)
    sealer.finish()
    return count


def unpack(path: Path, out: Path, passphrase: str) -> int:
    """
    Decrypt the package in *path* into *out*, a ZIP; return the length of the ZIP in bytes.

    Raises:
        Refused: The passphrase is wrong or the file is damaged; *out* is not created.
        KeyFileError: A file cannot be read or written.
    """
    if out.exists():
        raise KeyFileError(out.name, "it is there already", "Choose another file.")
    temporary = files.unfinished(out)
    try:
        with files.create_unfinished(out) as plain, path.open("rb") as sealed:
            head = sealed.read(_HEAD_BYTES)
            sealed.seek(0)
            if head and archive.is_archive(head):
                archive.decrypt(sealed, plain, passphrase)
            else:
                for chunk in cipher.unseal(sealed, passphrase):
                    plain.write(chunk)
        temporary.replace(out)
        return out.stat().st_size
    except Unopened as exc:
        raise Refused(str(exc)) from None
    except OSError as exc:
        raise KeyFileError(
            path.name, f"it cannot be decrypted there: {of_file(exc).text}", of_file(exc).remedy
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_passphrase(path: Path) -> str:
    """
    Return the passphrase, which is the first line of the file *path*.

    Raises:
        Refused: The passphrase is too short.
        KeyFileError: The file cannot be read, or users other than its owner may read it.
    """
    text = files.read_secret(path).decode(errors="replace").split("\n", 1)[0].strip()
    if len(text) < cipher.MIN_PASSPHRASE:
        raise Refused(f"a passphrase has at least {cipher.MIN_PASSPHRASE} characters")
    return text

"""Exports as files: sealed with a passphrase as they are written, opened, and deleted."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO, cast
from uuid import UUID

import msgspec

from formats import cipher, package
from formats.cipher import Header, Sealer
from formats.errors import Unopened
from formats.package import Contents
from trust.errors import KeyFileError, Refused
from trust.keys import files


class WrittenExport(msgspec.Struct, frozen=True):
    """What came of it."""

    temporary: Path
    sha256: bytes
    observations: int


def discard(path: Path) -> None:
    """
    Delete an export; it may be gone.

    Raises:
        KeyFileError: It cannot be deleted, or is no export.
    """
    files.discard(path, begins_with=cipher.MAGIC)


def may_be_export(path: Path) -> bool:
    """Tell whether *path* is an export, or a file that cannot be read and may be one."""
    try:
        with path.open("rb") as file:
            return file.read(len(cipher.MAGIC)) == cipher.MAGIC
    except PermissionError:
        return True
    except OSError:
        return False


def write(path: Path, export: UUID, contents: Contents, passphrase: str) -> WrittenExport:
    """
    Write the package beside *path*, to be put there once it is on record.

    Raises:
        KeyFileError: There is a file already, or it cannot be written.
    """
    if path.exists():
        raise KeyFileError(path.name, "it is there already", "Choose another file.")
    temporary = files.unfinished(path)
    header = Header(
        str(export),
        contents.made_at.isoformat(timespec="seconds"),
        cipher.new_kdf(),
    )
    try:
        with files.create_unfinished(path) as out:
            sealer = Sealer(out, header, passphrase)
            count = package.write(cast("BinaryIO", sealer), contents)
            sealer.finish()
            out.flush()
            os.fsync(out.fileno())
        with temporary.open("rb") as sealed:
            digest = hashlib.file_digest(sealed, "sha256").digest()
    except OSError as exc:
        raise files.unwritable(path, exc) from None
    return WrittenExport(temporary, digest, count)


def unpack(path: Path, out: Path, passphrase: str) -> int:
    """
    Decrypt the package in *path* into *out*, a ZIP; return its length.

    Raises:
        Refused: Another passphrase, or a damaged file; *out* is not there.
        KeyFileError: A file cannot be read or written.
    """
    if out.exists():
        raise KeyFileError(out.name, "it is there already", "Choose another file.")
    temporary = files.unfinished(out)
    try:
        with files.create_unfinished(out) as plain, path.open("rb") as sealed:
            for chunk in cipher.unseal(sealed, passphrase):
                plain.write(chunk)
        temporary.replace(out)
        return out.stat().st_size
    except Unopened as exc:
        raise Refused(str(exc)) from None
    except OSError as exc:
        raise KeyFileError(
            path.name, f"it cannot be decrypted there ({type(exc).__name__})", "Check the folder."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_passphrase(path: Path) -> str:
    """
    Return the first line of *path*.

    Raises:
        Refused: It is shorter than a passphrase should be.
        KeyFileError: It cannot be read, or others than its owner may read it.
    """
    text = files.read_secret(path).decode(errors="replace").split("\n", 1)[0].strip()
    if len(text) < cipher.MIN_PASSPHRASE:
        raise Refused(f"a passphrase has at least {cipher.MIN_PASSPHRASE} characters")
    return text

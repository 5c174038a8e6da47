"""Files of exports: encrypted with a passphrase while they are written, opened, and deleted."""

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
    files.discard(path, begins_with=cipher.MAGIC)


def may_be_export(path: Path) -> bool:
    """Tell whether *path* is an export, or an unreadable file that may be an export."""
    try:
        with path.open("rb") as file:
            return file.read(len(cipher.MAGIC)) == cipher.MAGIC
    except PermissionError:
        return True
    except OSError:
        return False


def write(path: Path, export: UUID, contents: Contents, passphrase: str) -> WrittenExport:
    """
    Write the package to a temporary file beside *path*; the caller renames it once it is recorded.

    Raises:
        KeyFileError: A file exists already at *path*, or the package cannot be written.
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
    Return the passphrase, which is the first line of the file *path*.

    Raises:
        Refused: The passphrase is too short.
        KeyFileError: The file cannot be read, or users other than its owner may read it.
    """
    text = files.read_secret(path).decode(errors="replace").split("\n", 1)[0].strip()
    if len(text) < cipher.MIN_PASSPHRASE:
        raise Refused(f"a passphrase has at least {cipher.MIN_PASSPHRASE} characters")
    return text

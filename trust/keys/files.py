"""Files of keys and certificates: written whole or not at all, secrets for their owner only."""

import os
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from runtime import files
from runtime.files import UnsafePlace
from trust.errors import Absent, KeyFileError, Unwritable

SECRET: Final = files.SECRET
PUBLIC: Final = files.PUBLIC


def write(path: Path, content: bytes, *, mode: int, replace: bool = False) -> None:
    """
    Write *content* to *path*; on return it survives a power cut.

    Raises:
        KeyFileError: It is there already and *replace* is not set, or it cannot be written.
    """
    try:
        files.write(path, content, mode=mode, replace=replace)
    except FileExistsError:
        raise KeyFileError(
            path.name, "it is there already", "Choose another place; nothing is overwritten."
        ) from None
    except OSError as exc:
        raise unwritable(path, exc) from None


def unwritable(path: Path, error: OSError) -> Unwritable:
    """Return why *path* cannot be written, and what to do."""
    if isinstance(error, UnsafePlace):
        return Unwritable(path.name, "it is not written where that is not safe", f"{error}.")
    return Unwritable(
        path.name, f"it cannot be written ({type(error).__name__})", "Check the folder."
    )


def create_unfinished(path: Path) -> BinaryIO:
    """
    Return a new file, open for writing, where *path* is while it is being written.

    What a power cut left there is deleted, and never written to: it could lead elsewhere.

    Raises:
        OSError: It cannot be made.
    """
    temporary = unfinished(path)
    temporary.unlink(missing_ok=True)
    return files.create(temporary)


def unfinished(path: Path) -> Path:
    """Return where *path* is while it is being written."""
    return path.with_name(f".{path.name}.new")


def discard(path: Path, *, begins_with: bytes) -> None:
    """
    Delete *path*, and what is left of it if its writing was cut off; either may be gone.

    Args:
        path: Of a record that somebody may have changed, to have another file deleted.

        begins_with: What is deleted begins with this, as far as it was written.

    Raises:
        KeyFileError: It cannot be deleted, or is another file.
    """
    try:
        for one in (path, unfinished(path)):
            if one.exists():
                _check_begins(one, begins_with)
            one.unlink(missing_ok=True)
    except OSError as exc:
        raise Unwritable(
            path.name, f"it cannot be deleted ({type(exc).__name__})", "Delete it by hand."
        ) from None


def _check_begins(path: Path, begins_with: bytes) -> None:
    with path.open("rb") as file:
        begins = file.read(len(begins_with))
    if not begins_with.startswith(begins):
        raise KeyFileError(
            path.name, "it is not what the record says, and was left", "See who changed the vault."
        )


def sync_folder(folder: Path) -> None:
    """
    Have the names in *folder* survive a power cut: a synced file without one is lost.

    Raises:
        OSError: It cannot be done.
    """
    files.sync_folder(folder)


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """
    Write *content* to *path*, which is not there; a power cut may take it.

    Raises:
        KeyFileError: It is there already, or cannot be written.
    """
    try:
        with files.create(path, mode=mode) as file:
            file.write(content)
    except OSError as exc:
        raise unwritable(path, exc) from None


def destroy(path: Path) -> bool:
    """
    Overwrite and delete a secret; return whether it was there.

    On flash memory the old cells may outlive both: destroy the medium, or encrypt it.

    Raises:
        KeyFileError: It cannot be written or deleted.
    """
    try:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise Unwritable(
            path.name, f"it cannot be destroyed ({type(exc).__name__})", "Check the folder."
        ) from None
    return True


def make_folder(folder: Path) -> None:
    """
    Make *folder*, for its owner only, unless it is there.

    Raises:
        KeyFileError: It cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise KeyFileError(
            folder.name, f"cannot be made ({type(exc).__name__})", "Check the path."
        ) from None


def read(path: Path) -> bytes:
    """
    Return a public file.

    Raises:
        KeyFileError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as exc:
        error = Absent if isinstance(exc, FileNotFoundError) else KeyFileError
        raise error(
            path.name,
            f"it cannot be read ({type(exc).__name__})",
            "Check the path. Keys and certificates are made by `vitalveil trust init` and"
            " `trust pki init`.",
        ) from None


def read_secret(path: Path) -> bytes:
    """
    Return a secret file.

    Raises:
        KeyFileError: It cannot be read, or others than its owner may read it.
    """
    content = read(path)
    if path.stat().st_mode & 0o077:
        raise KeyFileError(path.name, "others than its owner may read it", "chmod 600 it.")
    return content


def private_key(pem: bytes, *, name: str) -> PrivateKeyTypes:
    """
    Return a private key in PKCS #8.

    Raises:
        KeyFileError: It is none.
    """
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(
            name, "not a private key in PEM", "Restore it from its backup."
        ) from None


def public_key(pem: bytes, *, name: str) -> PublicKeyTypes:
    """
    Return a public key.

    Raises:
        KeyFileError: It is none.
    """
    try:
        return serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            name, "not a public key in PEM", "Point to the .pub file, not to another."
        ) from None

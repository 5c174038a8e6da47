"""Files of keys and certificates: written atomically, and secrets readable by the owner only."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from runtime import files
from runtime.causes.files import of_file
from runtime.files import UnsafePlace
from trust.errors import Absent, KeyFileError, Unwritable

SECRET: Final = files.SECRET
PUBLIC: Final = files.PUBLIC


def write(path: Path, content: bytes, *, mode: int, replace: bool = False) -> None:
    """
    Write *content* to *path* atomically; after the return the file survives a power cut.

    Raises:
        KeyFileError: The file exists and *replace* is not set, or it cannot be written.
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
    """Return the error that says why *path* cannot be written and what to do."""
    if isinstance(error, UnsafePlace):
        return Unwritable(path.name, "it is not written where that is not safe", f"{error}.")
    cause = of_file(error)
    return Unwritable(path.name, f"it cannot be written: {cause.text}", cause.remedy)


def create_unfinished(path: Path) -> BinaryIO:
    """
    Create the temporary file of *path* and return it, open for writing in binary mode.

    A file that a power cut left there is deleted and never written to: it could be a link to
    another file.

    Raises:
        OSError: The temporary file cannot be created.
    """
    temporary = unfinished(path)
    temporary.unlink(missing_ok=True)
    return files.create(temporary)


def unfinished(path: Path) -> Path:
    """Return the temporary path under which *path* is written."""
    return path.with_name(f".{path.name}.new")


def discard(path: Path, *, is_ours: Callable[[bytes], bool], head_bytes: int) -> None:
    """
    Delete *path* and its temporary file from an interrupted write; either may be missing.

    Args:
        path: The path, from a record that an attacker may have changed to delete another file.

        is_ours: Tells by its first bytes, as far as they were written, whether a file may be
            deleted.

        head_bytes: How many bytes that needs.

    Raises:
        KeyFileError: The file cannot be deleted, or is another one.
    """
    try:
        for one in (path, unfinished(path)):
            if one.exists():
                _check_head(one, is_ours, head_bytes)
            one.unlink(missing_ok=True)
    except OSError as exc:
        raise Unwritable(
            path.name, f"it cannot be deleted: {of_file(exc).text}", "Delete it by hand."
        ) from None


def _check_head(path: Path, is_ours: Callable[[bytes], bool], head_bytes: int) -> None:
    with path.open("rb") as file:
        head = file.read(head_bytes)
    if not is_ours(head):
        raise KeyFileError(
            path.name, "it is not what the record says, and was left", "See who changed the vault."
        )


def sync_folder(folder: Path) -> None:
    """
    Sync *folder*, so that the names in it survive a power cut; a file without a name is lost.

    Raises:
        OSError: The folder cannot be synced.
    """
    files.sync_folder(folder)


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """
    Write *content* to the new file *path*, without syncing: a power cut may lose the file.

    Raises:
        KeyFileError: The file exists already, or cannot be written.
    """
    try:
        with files.create(path, mode=mode) as file:
            file.write(content)
    except OSError as exc:
        raise unwritable(path, exc) from None


def destroy(path: Path) -> bool:
    """
    Overwrite and delete a secret file; return whether the file existed.

    On flash memory the old cells may keep the secret: encrypt the medium, or destroy it.

    Raises:
        KeyFileError: The file cannot be overwritten or deleted.
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
        cause = of_file(exc)
        raise Unwritable(
            path.name, f"it cannot be destroyed: {cause.text}", cause.remedy
        ) from None
    return True


def make_folder(folder: Path) -> None:
    """
    Create *folder* with access for its owner only, unless the folder exists.

    Raises:
        KeyFileError: The folder cannot be created.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        cause = of_file(exc)
        raise KeyFileError(folder.name, f"it cannot be made: {cause.text}", cause.remedy) from None


def read(path: Path) -> bytes:
    """
    Return the bytes of a public file.

    Raises:
        KeyFileError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as exc:
        raise _unreadable(path, exc) from None


def _unreadable(path: Path, exc: OSError) -> KeyFileError:
    cause = of_file(exc)
    if isinstance(exc, FileNotFoundError):
        return Absent(
            path.name,
            cause.text,
            f"{cause.remedy} Keys and certificates are made by `vitalveil trust init` and"
            " `vitalveil trust pki init`.",
        )
    return KeyFileError(path.name, cause.text, cause.remedy)


def read_secret(path: Path) -> bytes:
    """
    Return the bytes of a secret file.

    Raises:
        KeyFileError: The file cannot be read, or users other than its owner may read it.
    """
    try:
        return files.read_secret(path)
    except OSError as exc:
        raise _unreadable(path, exc) from None


def private_key(pem: bytes, *, name: str) -> PrivateKeyTypes:
    """
    Return the private key in *pem*, PKCS #8; *name* is the name of the file for the error.

    Raises:
        KeyFileError: The text holds no private key.
    """
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(
            name, "not a private key in PEM", "Restore it from its backup."
        ) from None


def public_key(pem: bytes, *, name: str) -> PublicKeyTypes:
    """
    Return the public key in *pem*; *name* is the name of the file for the error.

    Raises:
        KeyFileError: The text holds no public key.
    """
    try:
        return serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            name, "not a public key in PEM", "Point to the .pub file, not to another."
        ) from None

"""
Writes files with secrets, certificates and state, atomically and safely.

A file is written completely or not at all. An attacker who can put files into the folder gains
nothing: no symbolic link is followed, no file is written that another user could have opened
before, and no folder is used in which other users may exchange files. A file has its mode from the
first byte on, independent of the umask.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

SECRET: Final = 0o600
PUBLIC: Final = 0o644

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePlace(OSError):
    """It is not safe to write to this folder or file; the message is a clause with the remedy."""


def write(path: Path, content: bytes, *, mode: int = SECRET, replace: bool = True) -> None:
    """
    Write *content* to the file *path*; after the return it survives a power cut.

    A file that is replaced keeps its owner if this process may set it, but not its mode.

    Args:
        path: A path whose folder exists.

        content: The whole content of the file.

        mode: Mode of the file.

        replace: Whether an existing file may be replaced.

    Raises:
        FileExistsError: The file exists, and *replace* is not set.
        UnsafePlace: Other users could exchange the file, or *path* is not a regular file.
        OSError: The file cannot be written; an existing file is unchanged.
    """
    with _folder(path, is_public=mode == PUBLIC) as folder:
        known = _look_at(path, folder)
        if known is not None and not replace:
            raise FileExistsError(f"the file {path.name} exists already")
        temporary = f".{path.name}.{secrets.token_hex(8)}.new"
        descriptor = os.open(temporary, _NEW, mode & SECRET, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _adopt(descriptor, mode, known)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            if replace:
                os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                # Not by renaming, which would replace a file that was created in the meantime.
                os.link(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.unlink(temporary, dir_fd=folder)
        except BaseException:
            # After any error, no copy of a secret may stay under a temporary name.
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def unfinished(path: Path) -> list[Path]:
    """Return temporary files that a power cut left while *path* was written; may hold secrets."""
    return sorted(path.parent.glob(f".{path.name}.{'[0-9a-f]' * 16}.new"))


def create(path: Path, *, mode: int = SECRET) -> BinaryIO:
    """
    Create the file *path* and return it open for writing; it may be lost in a power cut.

    Raises:
        FileExistsError: The name exists already, if only as a symbolic link.
        UnsafePlace: Other users could exchange the file.
        OSError: The file cannot be created.
    """
    with _folder(path) as folder:
        descriptor = os.open(path.name, _NEW, mode & SECRET, dir_fd=folder)
        os.fchmod(descriptor, mode)
        return os.fdopen(descriptor, "wb")


def append(path: Path, content: bytes, *, mode: int = SECRET) -> None:
    """
    Append *content* to *path*, or create it; after the return it survives a power cut.

    Raises:
        UnsafePlace: Other users could exchange the file, or it has a second name, or it is not a
            regular file.
        OSError: The file cannot be written; a part of *content* may have been written.
    """
    with _folder(path) as folder:
        _look_at(path, folder)
        descriptor = os.open(path.name, _APPEND, mode & SECRET, dir_fd=folder)
        with os.fdopen(descriptor, "ab") as file:
            known = os.fstat(descriptor)
            if not stat.S_ISREG(known.st_mode) or known.st_nlink != 1:
                raise UnsafePlace(
                    f"the file {path.name} has a second name (a hard link): copy the file, and"
                    " delete both names"
                )
            if stat.S_IMODE(known.st_mode) != mode:
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        # The file may have been created by this call.
        os.fsync(folder)


def sync_folder(folder: Path) -> None:
    """
    Make the file names in *folder* survive a power cut: a synced file without its name is lost.

    Raises:
        OSError: The folder cannot be opened or synced.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_folder(folder: Path, *, is_public: bool = False) -> None:
    """
    Check that it is safe to write files to *folder*, without writing one.

    Args:
        folder: The folder.

        is_public: Whether the files are not secret.

    Raises:
        UnsafePlace: Other users could exchange files in the folder.
        OSError: The folder does not exist, or cannot be opened.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        _check_folder(os.fstat(descriptor), folder, is_public=is_public)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _folder(path: Path, *, is_public: bool = False) -> Iterator[int]:
    """
    Open the folder of *path*, so that all operations are in this folder even if it is renamed.

    Args:
        path: The file to write.

        is_public: Whether the file is not secret, for instance a signed list that the broker
            reads; its folder may be shared with a group of this process.
    """
    descriptor = os.open(path.parent, _FOLDER)
    try:
        _check_folder(os.fstat(descriptor), path.parent, is_public=is_public)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_folder(known: os.stat_result, folder: Path, *, is_public: bool) -> None:
    mode = known.st_mode
    # In a sticky folder all users may add files, and only the owner of a file may remove it.
    is_sticky = bool(mode & stat.S_ISVTX) and known.st_uid in (0, os.geteuid())
    # Many systems give each user a group of their own.
    is_own = known.st_uid == os.geteuid() and known.st_gid == os.getegid()
    is_shared = is_public and known.st_gid in {os.getegid(), *os.getgroups()}
    others = stat.S_IWOTH if is_own or is_shared else stat.S_IWOTH | stat.S_IWGRP
    if mode & others and not is_sticky:
        raise UnsafePlace(
            f"other users may exchange files in the folder {folder.name}: run chmod go-w on it, or"
            " use another folder (a volume with an fsGroup is writable for its group: create a"
            " folder of mode 0700 in it)"
        )


def _look_at(path: Path, folder: int) -> os.stat_result | None:
    """Return the status of the existing regular file *path*; None if the name is free."""
    try:
        known = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(known.st_mode):
        raise UnsafePlace(
            f"{path.name} is a symbolic link or not a regular file: remove it, or name the file to"
            " which it leads"
        )
    return known


def _adopt(descriptor: int, mode: int, known: os.stat_result | None) -> None:
    if known is not None and os.geteuid() == 0 and known.st_uid != 0:
        os.fchown(descriptor, known.st_uid, known.st_gid)
    os.fchmod(descriptor, mode)

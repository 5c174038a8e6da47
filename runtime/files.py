"""
Files with secrets, certificates and state: whole or not at all, and nowhere but where they belong.

Whatever lies in the folder already, planted by anyone: no symbolic link is followed, no file is
written that others could have opened before, and no folder is used in which others may exchange
what we wrote. A file has its mode from its first byte, whatever the umask is.
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
    """A folder or a name that nothing is to be written to: a sentence, with the remedy."""


def write(path: Path, content: bytes, *, mode: int = SECRET, replace: bool = True) -> None:
    """
    Write *path* with *content*; on return it survives a power cut.

    A file that is replaced keeps its owner, where we may give files away, and not its mode.

    Args:
        path: Its folder is there.

        content: All of it.

        mode: Of the file.

        replace: Whether a file may be there already.

    Raises:
        FileExistsError: One is, and *replace* is not set.
        UnsafePlace: Others could exchange the file, or what is there is no file.
        OSError: It cannot be written; what was there is still there.
    """
    with _folder(path, is_public=mode == PUBLIC) as folder:
        known = _look_at(path, folder)
        if known is not None and not replace:
            raise FileExistsError(f"{path.name} is there already")
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
                # Not by renaming: that would take the place of one that came meanwhile.
                os.link(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.unlink(temporary, dir_fd=folder)
        except BaseException:
            # Whatever ends it, no copy of a secret may stay under a name that nobody looks for.
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def unfinished(path: Path) -> list[Path]:
    """Return what a power cut left of *path* while it was being written: it may hold secrets."""
    return sorted(path.parent.glob(f".{path.name}.{'[0-9a-f]' * 16}.new"))


def create(path: Path, *, mode: int = SECRET) -> BinaryIO:
    """
    Return the new file *path*, open for writing; a power cut may take it.

    Raises:
        FileExistsError: Something is there already, if only a symbolic link.
        UnsafePlace: Others could exchange the file.
        OSError: It cannot be made.
    """
    with _folder(path) as folder:
        descriptor = os.open(path.name, _NEW, mode & SECRET, dir_fd=folder)
        os.fchmod(descriptor, mode)
        return os.fdopen(descriptor, "wb")


def append(path: Path, content: bytes, *, mode: int = SECRET) -> None:
    """
    Add *content* to *path*, which is made if need be; on return it survives a power cut.

    Raises:
        UnsafePlace: Others could exchange the file, or what is there is another's, has a second
            name, or is no file.
        OSError: It cannot be written; a part of *content* may be there.
    """
    with _folder(path) as folder:
        _look_at(path, folder)
        descriptor = os.open(path.name, _APPEND, mode & SECRET, dir_fd=folder)
        with os.fdopen(descriptor, "ab") as file:
            known = os.fstat(descriptor)
            if not stat.S_ISREG(known.st_mode) or known.st_nlink != 1:
                raise UnsafePlace(f"{path.name} has a second name: copy it and delete both")
            if stat.S_IMODE(known.st_mode) != mode:
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        # The first line makes the file.
        os.fsync(folder)


def sync_folder(folder: Path) -> None:
    """
    Have the names in *folder* survive a power cut: a synced file without one is lost.

    Raises:
        OSError: It cannot be done.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_folder(folder: Path, *, is_public: bool = False) -> None:
    """
    Return if files may be written to *folder*, without writing one.

    Args:
        folder: Where they are to be.

        is_public: Whether they are no secrets.

    Raises:
        UnsafePlace: Others could exchange them there.
        OSError: It is not there, or closed to us.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        _check_folder(os.fstat(descriptor), folder, is_public=is_public)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _folder(path: Path, *, is_public: bool = False) -> Iterator[int]:
    """
    Open the folder of *path*, so that all is done in this one, whatever takes its name.

    Args:
        path: What is to be written.

        is_public: Whether it is no secret, as a signed list that the broker reads: its folder may
            be one that a group of ours shares.
    """
    descriptor = os.open(path.parent, _FOLDER)
    try:
        _check_folder(os.fstat(descriptor), path.parent, is_public=is_public)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_folder(known: os.stat_result, folder: Path, *, is_public: bool) -> None:
    mode = known.st_mode
    # In a sticky folder everyone may add names, and only their owners may take them away.
    is_sticky = bool(mode & stat.S_ISVTX) and known.st_uid in (0, os.geteuid())
    # A group of one's own is what many systems give each user.
    is_own = known.st_uid == os.geteuid() and known.st_gid == os.getegid()
    is_shared = is_public and known.st_gid in {os.getegid(), *os.getgroups()}
    others = stat.S_IWOTH if is_own or is_shared else stat.S_IWOTH | stat.S_IWGRP
    if mode & others and not is_sticky:
        raise UnsafePlace(
            f"others may exchange files in the folder {folder.name}: chmod go-w, or take another"
            " (a volume with an fsGroup is open to its group: make a folder of mode 0700 in it)"
        )


def _look_at(path: Path, folder: int) -> os.stat_result | None:
    """Return what is known of the file that is there; None without one."""
    try:
        known = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(known.st_mode):
        raise UnsafePlace(f"{path.name} is a link, or no file: remove it, or name where it leads")
    return known


def _adopt(descriptor: int, mode: int, known: os.stat_result | None) -> None:
    if known is not None and os.geteuid() == 0 and known.st_uid != 0:
        os.fchown(descriptor, known.st_uid, known.st_gid)
    os.fchmod(descriptor, mode)

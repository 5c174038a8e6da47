"""
Writes files with secrets, certificates and state, atomically and safely; reads secrets.

Who may read a secret: its owner, who is the user of this process or root. A file that belongs to
root may also be readable by its group: that is how root hands a secret to a program (a credential
of systemd, a secret of Kubernetes), and it is the rule of PostgreSQL and libpq for private keys.

A file is written completely or not at all. An attacker who can put files into the folder gains
nothing: no symbolic link is followed, no file is written that another user could have opened
before, and no folder is used in which other users may exchange files. A file has its mode from the
first byte on, independent of the umask.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from runtime.causes.cause import Cause

SECRET: Final = 0o600
PUBLIC: Final = 0o644

_OF_OTHERS: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
"""Rights that only the owner of a secret may have, even if root hands it to a group."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePlace(OSError):
    """It is not safe to write to this folder or file; the message is a clause with the remedy."""


class ExposedSecret(OSError):
    """Users other than its owner have rights to a secret file; `cause` says which, and the fix."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(str(cause))
        self.cause = cause


def read_secret(path: Path) -> bytes:
    """
    Return the bytes of the secret file *path*.

    Raises:
        ExposedSecret: Users other than its owner may read or write the file.
        OSError: The file cannot be read.
    """
    with _secret(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read()


def check_secret(path: Path) -> None:
    """
    Check who may read the secret file *path*, for a library that opens the file itself.

    Raises:
        ExposedSecret: Users other than its owner may read or write the file.
        OSError: The file cannot be read.
    """
    with _secret(path):
        pass


@contextlib.contextmanager
def _secret(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check_secret(os.fstat(descriptor), path)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_secret(known: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(known.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    mode, user = stat.S_IMODE(known.st_mode), os.geteuid()
    if known.st_uid not in (0, user) and user != 0:
        raise _exposed(
            "the file belongs to another user, who may read it",
            f"Give {path} to the user of this program with chown, and run: chmod 600 {path}",
        )
    # To a process of root, a file of root and of root's group is an ordinary file of its own.
    is_handed_over = known.st_uid == 0 and (user != 0 or known.st_gid != 0)
    if rights := mode & (_OF_OTHERS if is_handed_over else _OF_OTHERS | stat.S_IRGRP):
        act = "read" if rights & (stat.S_IRGRP | stat.S_IROTH) else "write or run"
        raise _exposed(
            f"other users may {act} the file (its mode is {mode:04o})",
            f"Run: chmod 600 {path}",
        )


def _exposed(problem: str, remedy: str) -> ExposedSecret:
    return ExposedSecret(Cause(problem, remedy, True))


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

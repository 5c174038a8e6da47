"""Causes of errors of files and disks, by errno; and of SQLite, by its result code."""

import errno
import os
from collections.abc import Mapping
from typing import Final

from runtime.causes.cause import Cause

_ROOM: Final = "Make room on that disk, or enlarge it. Nothing else has to be done afterwards."
_RIGHTS: Final = (
    "Check the owner and the mode of the file and of its folders, and which user runs the program."
    " Under systemd, check also the paths that the unit makes read-only."
)
_HARDWARE: Final = "Look into the log of the kernel (dmesg), and replace the disk if it fails."

_BY_NUMBER: Final[Mapping[int, Cause]] = {
    errno.ENOENT: Cause("it does not exist", "Check the path for typing mistakes.", True),
    errno.EACCES: Cause("this user has no right to it", _RIGHTS, True),
    errno.EPERM: Cause("the operating system does not permit it", _RIGHTS, True),
    errno.ENOSPC: Cause("the disk is full", _ROOM),
    errno.EDQUOT: Cause("the disk quota of this user is used up", "Raise the quota."),
    errno.EFBIG: Cause(
        "the file would grow beyond a limit",
        "Raise the limit of this process for the size of a file (LimitFSIZE= of its unit,"
        " ulimit -f), or use a file system for larger files.",
    ),
    errno.EROFS: Cause(
        "the file system is read-only",
        "Mount it for writing, or name a path on another one (under systemd: ReadWritePaths=)."
        " A disk with errors is made read-only by the kernel: see dmesg.",
        True,
    ),
    errno.EISDIR: Cause("it is a folder", "Name a file.", True),
    errno.ENOTDIR: Cause("a part of the path is not a folder", "Check the path.", True),
    errno.EEXIST: Cause("it exists already", "Choose another path, or remove it first.", True),
    errno.ELOOP: Cause("its symbolic links lead in a circle", "Name the file itself.", True),
    errno.ENAMETOOLONG: Cause("its name is too long", "Choose a shorter path.", True),
    errno.ETXTBSY: Cause("it is a program that runs now", "Stop that program first."),
    errno.EBUSY: Cause("another program uses it", "Stop that program first."),
    errno.ENOEXEC: Cause("it is not a program", "Name an executable file.", True),
    errno.EMFILE: Cause(
        "this process has too many open files",
        "Raise its limit (LimitNOFILE= of its unit, ulimit -n).",
    ),
    errno.ENFILE: Cause("the machine has too many open files", "Raise fs.file-max."),
    errno.ENOMEM: Cause("the machine has no memory left", "Free memory, or add some."),
    errno.EIO: Cause("the disk reports an error", _HARDWARE),
    errno.ENODEV: Cause("the device is missing", _HARDWARE),
    errno.ENXIO: Cause("the device is missing", _HARDWARE),
    errno.ESTALE: Cause("its network file system has lost it", "Mount that file system again."),
}

_DAMAGED: Final = "Move the file away and restore it from a backup, or let it be made again."
_BY_SQLITE: Final[Mapping[str, Cause]] = {
    "SQLITE_FULL": Cause("the disk is full", _ROOM),
    "SQLITE_READONLY": Cause("the file or its file system is read-only", _RIGHTS, True),
    "SQLITE_CANTOPEN": Cause("the file cannot be opened", _RIGHTS, True),
    "SQLITE_PERM": Cause("this user has no right to it", _RIGHTS, True),
    "SQLITE_BUSY": Cause("another program has locked the file", "Stop that program first."),
    "SQLITE_LOCKED": Cause("another program has locked the file", "Stop that program first."),
    "SQLITE_CORRUPT": Cause("the file is damaged", _DAMAGED),
    "SQLITE_NOTADB": Cause("the file is not a database of SQLite, or is damaged", _DAMAGED),
    "SQLITE_IOERR": Cause("the disk reports an error", _HARDWARE),
    "SQLITE_NOMEM": Cause("the machine has no memory left", "Free memory, or add some."),
    "SQLITE_TOOBIG": Cause("a value is larger than SQLite allows", "Report this as a bug."),
}


def of_file(error: OSError) -> Cause:
    """Return the cause of *error*, which an operation on a file raised."""
    number = error.errno
    if isinstance(own := getattr(error, "cause", None), Cause):
        return own
    if number is None:
        # Raised by our own code or by a library: there is no number, and the text may hold a path.
        return Cause("it cannot be used", _RIGHTS)
    if number in _BY_NUMBER:
        return _BY_NUMBER[number]
    name = errno.errorcode.get(number, str(number))
    # The texts of the C library are constants.
    return Cause(
        f"the operating system reports {name} ({os.strerror(number)})",
        "Check the path and the log of the kernel (dmesg).",
    )


def of_sqlite(error: Exception) -> Cause:
    """Return the cause of *error*, a sqlite3.Error, without its text, which may quote a value."""
    name = str(getattr(error, "sqlite_errorname", None) or "")
    # An extended code has the primary one as its beginning: SQLITE_IOERR_FSYNC.
    primary = "_".join(name.split("_")[:2])
    if primary in _BY_SQLITE:
        return _BY_SQLITE[primary]
    return Cause(
        f"SQLite reports {name or 'an error without a code'}",
        "Check the disk. If it is sound, report this as a bug.",
    )

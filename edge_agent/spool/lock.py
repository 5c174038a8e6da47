"""A lock on the state folder, so that only one agent uses it. It ends with its process."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_agent.errors import SpoolError, StateInUse
from runtime.logs import describe

NAME: Final = "lock"


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """
    Hold the lock of *folder* while the context is open; make the folder if it is missing.

    Raises:
        StateInUse: Another process holds it.
        SpoolError: The folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SpoolError(f"be locked: {describe(exc)}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateInUse from None
        yield
    finally:
        os.close(descriptor)

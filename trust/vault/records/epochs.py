"""Epochs of the pseudonym keys of purposes."""

from typing import Any, Protocol


class Epochs(Protocol):
    """Epochs of the pseudonym keys of purposes."""

    def current(self, purpose: str) -> int:
        """Return the epoch in force."""
        ...

    def begin(self, purpose: str, epoch: int) -> None:
        """Note that *epoch* is in force from now on."""
        ...

    def unmoved(self, purpose: str) -> int | None:
        """Return the epoch that not every handle has moved to, if there is one."""
        ...

    def mark_moved(self, purpose: str, epoch: int) -> None:
        """Note that every handle has moved to *epoch*."""
        ...

    def all(self) -> list[tuple[Any, ...]]:
        """Return purpose, epoch, when it began, and when every handle had moved to it."""
        ...

    def numbers(self, purpose: str) -> list[int]:
        """Return every epoch that the pseudonym keys of *purpose* have had."""
        ...

"""Epochs of the pseudonym keys of purposes."""

from typing import Any, Protocol


class Epochs(Protocol):
    """Epochs of the pseudonym keys of purposes."""

    def current(self, purpose: str) -> int:
        """Return the epoch of *purpose* that is in force; 1 before any later one began."""
        ...

    def begin(self, purpose: str, epoch: int) -> None:
        """Record that *epoch* is in force from now on, unless it is recorded already."""
        ...

    def unmoved(self, purpose: str) -> int | None:
        """Return the newest epoch that handles still move to; None if all have moved."""
        ...

    def mark_moved(self, purpose: str, epoch: int) -> None:
        """Record that every handle has moved to *epoch*."""
        ...

    def all(self) -> list[tuple[Any, ...]]:
        """
        Return every epoch after the first of each purpose.

        Each row: purpose, number, when the epoch began, and when every handle had moved to it.
        """
        ...

    def numbers(self, purpose: str) -> list[int]:
        """Return the number of every epoch of *purpose*, from 1."""
        ...

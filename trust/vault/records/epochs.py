"""Epochs of the pseudonym keys of purposes."""

import datetime as dt
from typing import NamedTuple, Protocol


class KeyEpoch(NamedTuple):
    """An epoch of the pseudonyms of a purpose."""

    purpose: str
    number: int
    started_at: dt.datetime
    moved_at: dt.datetime | None
    """When every handle had moved to it; None while some have not."""


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

    def all(self) -> list[KeyEpoch]:
        """Return every epoch after the first of each purpose."""
        ...

    def numbers(self, purpose: str) -> list[int]:
        """Return the number of every epoch of *purpose*, from 1."""
        ...

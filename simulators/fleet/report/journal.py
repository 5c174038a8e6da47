"""The journal of a process: every envelope with an identity, in columns of a few bytes each."""

from array import array
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

UNSETTLED: Final = 0.0
PURGED: Final = -1.0
"""Marks an envelope that was never sent, because its lease had ended."""


class Columns(msgspec.Struct, frozen=True, eq=False):
    """The columns of journals, one entry per envelope. Times in seconds since 1970."""

    agent: NDArray[np.uint32]
    """Number of the gateway in the roster."""
    sequence: NDArray[np.uint64]
    act: NDArray[np.uint8]
    phase: NDArray[np.uint8]
    due_at: NDArray[np.float64]
    observations: NDArray[np.uint16]
    sent_at: NDArray[np.float64]
    """When it was first written to a connection; 0 for never."""
    settled_at: NDArray[np.float64]
    """When a receipt covered it; 0 for never."""

    def __len__(self) -> int:
        return len(self.agent)


class Journal:
    """Records the fate of each envelope; the index of an envelope identifies it."""

    def __init__(self) -> None:
        self._agent = array("I")
        self._sequence = array("Q")
        self._act = array("B")
        self._phase = array("B")
        self._due_at = array("d")
        self._observations = array("H")
        self._sent_at = array("d")
        self._settled_at = array("d")

    def __len__(self) -> int:
        return len(self._agent)

    def add(
        self, agent: int, sequence: int, act: int, phase: int, due_at: float, observations: int
    ) -> int:
        """Record a new envelope; return its index."""
        self._agent.append(agent)
        self._sequence.append(sequence)
        self._act.append(act)
        self._phase.append(phase)
        self._due_at.append(due_at)
        self._observations.append(observations)
        self._sent_at.append(0.0)
        self._settled_at.append(UNSETTLED)
        return len(self._agent) - 1

    def sent(self, place: int, at: float) -> None:
        """Record when the envelope was first sent."""
        if not self._sent_at[place]:
            self._sent_at[place] = at

    def settled(self, place: int, at: float) -> tuple[int, float]:
        """
        Record when a receipt covered the envelope; return its phase, and the seconds since it was
        due.
        """
        self._settled_at[place] = at
        return self._phase[place], at - self._due_at[place]

    def purged(self, place: int) -> None:
        """Record that the envelope will never be sent."""
        self._settled_at[place] = PURGED

    def columns(self) -> Columns:
        """Return all columns."""
        return Columns(
            np.array(self._agent, np.uint32),
            np.array(self._sequence, np.uint64),
            np.array(self._act, np.uint8),
            np.array(self._phase, np.uint8),
            np.array(self._due_at, np.float64),
            np.array(self._observations, np.uint16),
            np.array(self._sent_at, np.float64),
            np.array(self._settled_at, np.float64),
        )

    def write(self, path: Path) -> None:
        """Write the columns to *path*."""
        found = self.columns()
        with path.open("wb") as file:
            np.savez(file, **{name: getattr(found, name) for name in Columns.__struct_fields__})


def read(paths: list[Path]) -> Columns:
    """Return the journals in *paths*, concatenated."""

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    parts = [Journal().columns(), *map(_read_one, paths)]
    return Columns(*map(column, Columns.__struct_fields__))


def _read_one(path: Path) -> Columns:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        return Columns(*(found[name] for name in Columns.__struct_fields__))

"""Epochs of pseudonym keys, in memory."""

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import EpochRow
from trust.vault.records.epochs import Epochs, KeyEpoch


class MemoryEpochs(MemoryRepository, Epochs):
    """Epochs of pseudonym keys, in memory."""

    def current(self, purpose: str) -> int:
        return max(self.numbers(purpose))

    def begin(self, purpose: str, epoch: int) -> None:
        self._tables.epochs.setdefault((purpose, epoch), EpochRow(self._now()))

    def unmoved(self, purpose: str) -> int | None:
        epochs = self._tables.epochs.items()
        return max(
            (e for (of, e), r in epochs if of == purpose and r.moved_at is None), default=None
        )

    def mark_moved(self, purpose: str, epoch: int) -> None:
        for (of, number), row in self._tables.epochs.items():
            if of == purpose and number <= epoch:
                row.moved_at = row.moved_at or self._now()

    def all(self) -> list[KeyEpoch]:
        rows = sorted(self._tables.epochs.items(), key=lambda one: one[0])
        return [KeyEpoch(purpose, epoch, r.started_at, r.moved_at) for (purpose, epoch), r in rows]

    def numbers(self, purpose: str) -> list[int]:
        return [1, *sorted(epoch for of, epoch in self._tables.epochs if of == purpose)]

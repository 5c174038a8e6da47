"""Epochs of pseudonym keys, in PostgreSQL."""

from runtime.database import named_sql
from trust.vault.records.epochs import Epochs, KeyEpoch
from trust.vault.repository import Repository


class PostgresEpochs(Repository, Epochs):
    """The statements of epochs.sql."""

    _sql = named_sql.read("trust.vault", "epochs.sql")

    def current(self, purpose: str) -> int:
        return int(self._fetch("current", purpose)[0][0])

    def begin(self, purpose: str, epoch: int) -> None:
        self._run("begin", purpose, epoch)

    def unmoved(self, purpose: str) -> int | None:
        rows = self._fetch("unmoved", purpose)
        return rows[0][0] if rows else None

    def mark_moved(self, purpose: str, epoch: int) -> None:
        self._run("mark_moved", purpose, epoch)

    def all(self) -> list[KeyEpoch]:
        return [KeyEpoch(*row) for row in self._fetch("all")]

    def numbers(self, purpose: str) -> list[int]:
        return [1, *(epoch for (epoch,) in self._fetch("numbers", purpose))]

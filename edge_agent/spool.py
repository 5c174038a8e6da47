"""
The spool on SQLite: what is sealed waits here, on disk, until ingest says that it is settled.

One connection in one thread, so that a slow disk never blocks the event loop, and what is asked
is done in the order in which it was asked.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from edge_agent import spool_file
from edge_agent.errors import SpoolError, SpoolFull
from edge_agent.marks import Mark
from edge_agent.ports import Amount, Removed, Sealed, Spooled, SpoolStats
from edge_agent.spool_file import MarkRow
from edge_agent.spool_view import read_spool_id, read_stats
from edge_agent.tags import Tags
from wire.receipt import SpoolReceipt

T = TypeVar("T")

_NOTHING: Final = Removed(Amount(), [])


class SqliteSpool:
    """
    A `Spool` in one file. Made by `SqliteSpool.open`, closed by `close`.

    Args:
        opened: The file.

        tags: Stand in for handles and marks.

        max_bytes: Of envelopes; the oldest go when there are more.

        executor: Its one thread opened the file.
    """

    def __init__(
        self,
        opened: spool_file.Opened,
        tags: Tags,
        *,
        max_bytes: int,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._db = opened.connection
        self.was_damaged = opened.was_damaged
        self._tags = tags
        self._max_bytes = max_bytes
        self._executor = executor
        self._spool_id = read_spool_id(self._db)
        self._stats = read_stats(self._db)
        self._next = self._stats.next_sequence
        self._marks = _read_marks(self._db)
        """In memory too, for they are few, and asking for them must not fail."""

    @classmethod
    async def open(
        cls, folder: Path, tags: Tags, *, new_spool_id: bytes, max_bytes: int
    ) -> "SqliteSpool":
        """
        Open the spool in *folder*, or begin one; see `spool_file.open_file`.

        Raises:
            SpoolError: It cannot be used.
        """
        executor = ThreadPoolExecutor(1, thread_name_prefix="spool")

        def make() -> "SqliteSpool":
            opened = spool_file.open_file(
                folder, new_spool_id=new_spool_id, key_check=tags.check()
            )
            return cls(opened, tags, max_bytes=max_bytes, executor=executor)

        try:
            return await asyncio.get_running_loop().run_in_executor(executor, make)
        except SpoolError:
            executor.shutdown()
            raise

    async def close(self) -> None:
        """Close the file, its write-ahead log folded in."""
        await self._run(self._db.close)
        self._executor.shutdown()

    @property
    def spool_id(self) -> bytes:
        return self._spool_id

    def stats(self) -> SpoolStats:
        return self._stats

    def take_sequence(self) -> int:
        sequence = self._next
        self._next += 1
        return sequence

    async def append(
        self, envelopes: Sequence[Sealed], marks: Mapping[Mark, int], *, now_ms: int
    ) -> Removed:
        tagged = {self._tags.of_mark(mark.label): number for mark, number in marks.items()}
        owners = {self._tags.of_mark(mark.label): self._owner(mark) for mark in marks}
        rows = [(tag, owners[tag], number) for tag, number in tagged.items()]
        evicted = await self._run(lambda: self._append(envelopes, rows, now_ms))
        self._marks |= {tag: max(n, self._marks.get(tag, n)) for tag, n in tagged.items()}
        return evicted

    def marks(self, marks: Sequence[Mark]) -> dict[Mark, int]:
        tagged = {mark: self._tags.of_mark(mark.label) for mark in marks}
        return {mark: self._marks[tag] for mark, tag in tagged.items() if tag in self._marks}

    async def peek(self, *, after: int, limit: int) -> list[Spooled]:
        return await self._run(
            lambda: [
                Spooled(*row)
                for row in self._db.execute(
                    "SELECT sequence, payload FROM envelopes WHERE sequence > ?"
                    " ORDER BY sequence LIMIT ?",
                    [after, limit],
                )
            ]
        )

    async def peek_at(self, sequences: Sequence[int]) -> list[Spooled]:
        query = "SELECT sequence, payload FROM envelopes WHERE sequence = ?"
        return await self._run(
            lambda: [
                Spooled(*row)
                for sequence in sorted(sequences)
                for row in self._db.execute(query, [sequence])
            ]
        )

    async def forget(self, receipt: SpoolReceipt) -> Removed:
        settled = max([receipt.through, *(last for _, last in receipt.ranges)])
        removed = await self._run(lambda: self._forget(receipt, settled))
        # Settled and yet ahead of us: the file is an older copy of itself, of a restored backup.
        # What we append next would be taken for a duplicate, so those sequences are spent.
        self._next = max(self._next, settled + 1)
        return removed

    async def purge_all_but(self, handles: Collection[bytes]) -> Removed:
        return await self._run(lambda: self._purge_all_but(handles))

    async def evict_older_than(self, oldest_ms: int) -> Removed:
        query = "SELECT sequence FROM envelopes WHERE appended_at_ms < ?"
        return await self._run(lambda: self._remove_where(query, [oldest_ms], "evicted"))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do *work* in the spool's thread, in turn."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            return await asyncio.shield(future)
        except sqlite3.Error as exc:
            if exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise SpoolFull("keep more: the disk is full") from None
            raise SpoolError(f"go on ({exc.sqlite_errorname})") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
            self._stats = read_stats(self._db)
        except BaseException:
            # Some failures have rolled back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _append(self, envelopes: Sequence[Sealed], marks: list[MarkRow], now_ms: int) -> Removed:
        amount = Amount(len(envelopes), sum(e.observations for e in envelopes))
        with self._transaction():
            self._db.executemany(
                "INSERT INTO envelopes VALUES (?, ?, ?, ?, ?)",
                [
                    (e.sequence, self._tags.of_handle(e.handle), now_ms, e.observations, e.payload)
                    for e in envelopes
                ],
            )
            self._db.executemany(
                "INSERT INTO marks VALUES (?, ?, ?)"
                " ON CONFLICT (tag) DO UPDATE SET number = max(number, excluded.number)",
                marks,
            )
            if envelopes:
                size = sum(len(e.payload) for e in envelopes)
                self._count("appended", amount)
                self._grow(amount.envelopes, size)
                self._spend_through(max(e.sequence for e in envelopes))
            return self._evict(self._bytes() - self._max_bytes)

    def _bytes(self) -> int:
        row: tuple[int] = self._db.execute("SELECT bytes FROM spool").fetchone()
        return row[0]

    def _owner(self, mark: Mark) -> bytes | None:
        return None if mark.handle is None else self._tags.of_handle(mark.handle)

    def _evict(self, too_many_bytes: int) -> Removed:
        """Remove the oldest envelopes until *too_many_bytes* are gone, but not the newest."""
        sequences: list[int] = []
        if too_many_bytes > 0:
            rows = self._db.execute(
                "SELECT sequence, length(payload) FROM envelopes"
                " WHERE sequence < (SELECT max(sequence) FROM envelopes) ORDER BY sequence"
            )
            for sequence, size in rows:
                if too_many_bytes <= 0:
                    break
                too_many_bytes -= size
                sequences.append(sequence)
            rows.close()
        return self._remove(sequences, "evicted")

    def _forget(self, receipt: SpoolReceipt, settled: int) -> Removed:
        query = "SELECT sequence FROM envelopes WHERE sequence BETWEEN ? AND ?"
        with self._transaction():
            sequences = [
                row[0]
                for run in [(1, receipt.through), *receipt.ranges]
                for row in self._db.execute(query, run)
            ]
            removed = self._remove(sequences, "settled")
            self._spend_through(settled)
        return removed

    def _spend_through(self, sequence: int) -> None:
        self._db.execute("UPDATE spool SET next_sequence = max(next_sequence, ?)", [sequence + 1])

    def _purge_all_but(self, handles: Collection[bytes]) -> Removed:
        kept = [self._tags.of_handle(handle) for handle in handles]
        places = ", ".join("?" * len(kept))
        # Only question marks are put into the text.
        others = f"owner IS NOT NULL AND owner NOT IN ({places})"
        with self._transaction():
            rows = self._db.execute(f"SELECT sequence FROM envelopes WHERE {others}", kept)  # noqa: S608
            removed = self._remove([row[0] for row in rows], "purged")
            marks = self._db.execute(f"DELETE FROM marks WHERE {others}", kept).rowcount  # noqa: S608
        self._marks = _read_marks(self._db)
        if removed.sequences or marks:
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return removed

    def _remove_where(self, query: str, arguments: list[int], what: str) -> Removed:
        with self._transaction():
            sequences = [row[0] for row in self._db.execute(query, arguments)]
            return self._remove(sequences, what)

    def _remove(self, sequences: list[int], what: str) -> Removed:
        """Delete *sequences* and count them as *what*, in the transaction that is open."""
        if not sequences:
            return _NOTHING
        observations = size = 0
        for sequence in sequences:
            row = self._db.execute(
                "DELETE FROM envelopes WHERE sequence = ? RETURNING observations, length(payload)",
                [sequence],
            ).fetchall()
            observations += row[0][0]
            size += row[0][1]
        amount = Amount(len(sequences), observations)
        self._count(what, amount)
        self._grow(-amount.envelopes, -size)
        return Removed(amount, sequences)

    def _count(self, what: str, amount: Amount) -> None:
        self._db.execute(
            "UPDATE totals SET envelopes = envelopes + ?, observations = observations + ?"
            " WHERE what = ?",
            [amount.envelopes, amount.observations, what],
        )

    def _grow(self, envelopes: int, size: int) -> None:
        # Kept up, because counting a large spool at every commit would read all of it.
        self._db.execute(
            "UPDATE spool SET depth = depth + ?, bytes = bytes + ?", [envelopes, size]
        )


def _read_marks(db: sqlite3.Connection) -> dict[bytes, int]:
    return dict(db.execute("SELECT tag, number FROM marks"))

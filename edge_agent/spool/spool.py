"""
The spool on SQLite: sealed envelopes wait on disk until a receipt of ingest settles them.

One connection in one thread, so that a slow disk never blocks the event loop, and operations run
in the order of their calls.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.errors import SpoolError
from edge_agent.ports import Amount, Appended, Removed, Sealed, Shortage, Spooled, SpoolStats
from edge_agent.spool import database_file, eviction, opening, recent_slots
from edge_agent.spool.database_file import MarkRow
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.inspection import read_spool_id, read_stats
from edge_agent.spool.remains import Remains
from edge_agent.spool.thread import SpoolThread
from edge_agent.values.checkpoint import Checkpoint
from wire.receipt import SpoolReceipt

_NOTHING: Final = Removed(Amount(), [])
_PLENTY: Final = (1 << 63) - 1


class SpoolLimits(msgspec.Struct, frozen=True):
    """The limits of a spool."""

    max_bytes: int
    """The most bytes of envelopes to keep."""
    min_free_bytes: int
    """Free bytes on its disk, below which the spool no longer grows."""


class SqliteSpool:
    """
    A `Spool` in one file. Made by `SqliteSpool.open`, closed by `close`.

    Args:
        opened: The open file.

        tags: Computes the tags that replace handles and labels of marks in the file.

        bounds: How much the spool may hold. May be replaced at any time.

        thread: The thread that opened the file.

        free_bytes: Returns the free bytes of the disk.
    """

    def __init__(
        self,
        opened: opening.Opened,
        tags: Tags,
        *,
        bounds: SpoolLimits,
        thread: SpoolThread,
        free_bytes: Callable[[], int],
    ) -> None:
        self._db = opened.connection
        self.repair = opened.repair
        """The repair of a damaged file at opening; None if the file was sound."""
        self._remains = Remains(opened)
        self._tags = tags
        self.bounds = bounds
        self._run = thread.run
        self._thread = thread
        self._free_bytes = free_bytes
        self._spool_id = read_spool_id(self._db)
        self._stats = read_stats(self._db)
        self._next = self._stats.next_sequence
        self._settled: SpoolReceipt | None = None
        self._marks = _read_marks(self._db)
        """A copy in memory: they are few, and reading them must not fail."""

    @classmethod
    async def open(
        cls,
        folder: Path,
        tags: Tags,
        *,
        new_spool_id: bytes,
        bounds: SpoolLimits,
        free_bytes: Callable[[], int] | None = None,
    ) -> "SqliteSpool":
        """
        Open the spool in *folder*, or make a new one; see `opening.open_file`.

        Raises:
            SpoolError: The spool cannot be used.
        """
        thread = SpoolThread()

        def make() -> "SqliteSpool":
            opened = opening.open_file(folder, new_spool_id=new_spool_id, key_check=tags.check())
            free = free_bytes or (lambda: database_file.free_bytes(folder))
            return cls(opened, tags, bounds=bounds, thread=thread, free_bytes=free)

        try:
            return await thread.run(make)
        except SpoolError:
            thread.close()
            raise

    async def close(self) -> None:
        """Close the file, after a checkpoint of its write-ahead log."""
        await self._run(self._db.close)
        self._thread.close()

    @property
    def spool_id(self) -> bytes:
        return self._spool_id

    @property
    def has_remains(self) -> bool:
        return self._remains.any_left

    def stats(self) -> SpoolStats:
        return self._stats

    def take_sequence(self) -> int:
        sequence = self._next
        self._next += 1
        return sequence

    async def append(
        self, envelopes: Sequence[Sealed], marks: Mapping[Checkpoint, int], *, now_ms: int
    ) -> Appended:
        tagged = {self._tags.of_mark(mark.label): number for mark, number in marks.items()}
        owners = {self._tags.of_mark(mark.label): self._owner(mark) for mark in marks}
        rows = [(tag, owners[tag], number) for tag, number in tagged.items()]
        appended = await self._run(lambda: self._append(envelopes, rows, now_ms))
        self._marks |= {tag: max(n, self._marks.get(tag, n)) for tag, n in tagged.items()}
        return appended

    def marks(self, marks: Sequence[Checkpoint]) -> dict[Checkpoint, int]:
        tagged = {mark: self._tags.of_mark(mark.label) for mark in marks}
        return {mark: self._marks[tag] for mark, tag in tagged.items() if tag in self._marks}

    async def peek(self, *, after: int, limit: int, through: int = _PLENTY) -> list[Spooled]:
        return await self._run(
            lambda: [
                Spooled(*row)
                for row in self._db.execute(
                    "SELECT sequence, payload FROM held WHERE sequence > ?"
                    " AND sequence <= ? ORDER BY sequence LIMIT ?",
                    [after, through, limit],
                )
            ]
        )

    async def peek_at(self, sequences: Sequence[int]) -> list[Spooled]:
        query = "SELECT sequence, payload FROM held WHERE sequence = ?"
        return await self._run(
            lambda: [
                Spooled(*row)
                for sequence in sorted(sequences)
                for row in self._db.execute(query, [sequence])
            ]
        )

    def settle(self, receipt: SpoolReceipt) -> None:
        # All receipts, not only the last: with many gaps, it does not repeat earlier ones.
        self._settled = receipt if self._settled is None else self._settled.joined(receipt)
        # Settled sequences that are ahead of the file: it is an older copy, restored from a
        # backup. New envelopes with these sequences would count as duplicates, so they are
        # skipped.
        self._next = max(self._next, _highest(receipt) + 1)

    async def forget(self) -> Removed:
        settled = self._settled
        if settled is None:
            return _NOTHING
        removed = await self._run(lambda: self._forget(settled))
        if self._settled is settled:
            self._settled = None
        return removed

    async def purge_all_but(self, handles: Collection[bytes]) -> Removed:
        return await self._run(lambda: self._purge_all_but(handles))

    async def evict_older_than(self, oldest_ms: int, *, now_ms: int) -> Removed:
        return await self._run(lambda: self._evict_older_than(oldest_ms, now_ms))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            stats = read_stats(self._db)
            self._db.execute("COMMIT")
            # Nothing below may fail: the caller would store the same envelopes again.
            self._stats = stats
        except BaseException:
            # After any error the transaction must end; the error is raised again. Some errors have
            # already rolled back.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _append(self, envelopes: Sequence[Sealed], marks: list[MarkRow], now_ms: int) -> Appended:
        held_bytes = self._stats.bytes
        with self._transaction():
            self._insert(envelopes, now_ms)
            self._db.executemany(
                "INSERT INTO marks VALUES (?, ?, ?)"
                " ON CONFLICT (tag) DO UPDATE SET number = max(number, excluded.number)",
                marks,
            )
            limit, shortage = self._limit(held_bytes)
            if read_stats(self._db).bytes > limit:
                recent_slots.fold(self._db)
            evicted = eviction.make_room(self._db, limit, shortage, now_ms=now_ms)
        return Appended(evicted, shortage)

    def _insert(self, envelopes: Sequence[Sealed], now_ms: int) -> None:
        if not envelopes:
            return
        sequences = [envelope.sequence for envelope in envelopes]
        if min(sequences) < self._stats.next_sequence or len(set(sequences)) < len(sequences):
            raise SpoolError("keep an envelope whose sequence was used before")
        rows = [
            (
                e.sequence,
                self._tags.of_handle(e.handle),
                e.worth,
                now_ms,
                e.observations,
                e.payload,
            )
            for e in sorted(envelopes, key=lambda envelope: envelope.sequence)
        ]
        recent_slots.put(self._db, rows)

    def _limit(self, held_bytes: int) -> tuple[int, Shortage]:
        """Return how many bytes of envelopes may be kept now, and the reason for that limit."""
        bounds = self.bounds
        if held_bytes < bounds.max_bytes and self._free_bytes() < bounds.min_free_bytes:
            return held_bytes, Shortage.DISK
        return bounds.max_bytes, Shortage.BYTES

    def _owner(self, mark: Checkpoint) -> bytes | None:
        return None if mark.handle is None else self._tags.of_handle(mark.handle)

    def _forget(self, receipt: SpoolReceipt) -> Removed:
        query = "SELECT sequence FROM envelopes WHERE sequence BETWEEN ? AND ?"
        with self._transaction():
            sequences = [
                row[0]
                for run in [(1, receipt.through), *receipt.ranges]
                for row in self._db.execute(query, run)
            ]
            self._db.execute(
                "UPDATE spool SET next_sequence = max(next_sequence, ?)", [_highest(receipt) + 1]
            )
            old = eviction.remove(self._db, sequences, "settled")
            new = recent_slots.settle(self._db, receipt)
        return Removed(old.amount + new.amount, old.sequences + new.sequences)

    def _purge_all_but(self, handles: Collection[bytes]) -> Removed:
        kept = [self._tags.of_handle(handle) for handle in handles]
        places = ", ".join("?" * len(kept))
        # Only placeholders are inserted into the statement.
        others = f"owner IS NOT NULL AND owner NOT IN ({places})"
        with self._transaction():
            # Also in the slots, including envelopes that were settled long ago.
            slots = self._db.execute(f"SELECT slot FROM recent WHERE {others}", kept).fetchall()  # noqa: S608
            if slots:
                recent_slots.fold(self._db)
            rows = self._db.execute(f"SELECT sequence FROM envelopes WHERE {others}", kept)  # noqa: S608
            removed = eviction.remove(self._db, [row[0] for row in rows], "purged")
            self._db.executemany("DELETE FROM recent WHERE slot = ?", slots)
            marks = self._db.execute(f"DELETE FROM marks WHERE {others}", kept).rowcount  # noqa: S608
            known = _read_marks(self._db)
        self._marks = known
        self._remains.erase(
            has_purged_envelopes=bool(removed.sequences), has_purged_other=bool(slots or marks)
        )
        return removed

    def _evict_older_than(self, oldest_ms: int, now_ms: int) -> Removed:
        with self._transaction():
            recent_slots.fold(self._db)
            return eviction.give_up_older(self._db, oldest_ms, now_ms=now_ms)


def _highest(receipt: SpoolReceipt) -> int:
    return max([receipt.through, *(last for _, last in receipt.ranges)])


def _read_marks(db: sqlite3.Connection) -> dict[bytes, int]:
    return dict(db.execute("SELECT tag, number FROM marks"))

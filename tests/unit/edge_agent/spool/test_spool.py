"""Sealed envelopes stay until they are settled, purged or evicted, and are counted."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.errors import SpoolError, SpoolFull, SpoolKeyChanged
from edge_agent.ports import Amount, Removed, Sealed
from edge_agent.spool import database_file, inspection
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.values.checkpoint import cursor_of, spent_of, through_of
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE, OTHER_SENSOR, SENSOR, agent_environ
from tests.support import spool_appender
from tests.support.spool_appender import KEY, SPOOL_ID
from wire import receipt as wire_receipt
from wire.envelope import MAX_SEQUENCE
from wire.receipt import SpoolReceipt


async def open_spool(
    folder: Path, *, max_bytes: int = 1 << 20, key: X25519PrivateKey = KEY, new: bytes = SPOOL_ID
) -> SqliteSpool:
    """Open the spool in *folder*."""
    return await SqliteSpool.open(
        folder, Tags(key), new_spool_id=new, bounds=SpoolLimits(max_bytes, min_free_bytes=0)
    )


@pytest_asyncio.fixture
async def spool(tmp_path: Path) -> AsyncIterator[SqliteSpool]:
    """An empty spool."""
    spool = await open_spool(tmp_path)
    yield spool
    await spool.close()


async def fill(spool: SqliteSpool, count: int, *, handle: bytes = HANDLE, at_ms: int = 1) -> None:
    """Append *count* envelopes of 2 observations and 100 bytes."""
    sealed = [
        Sealed(spool.take_sequence(), handle, 2, b"%4d" % i + b"x" * 96) for i in range(count)
    ]
    await spool.append(sealed, {}, now_ms=at_ms)


def receipt(through: int, *ranges: tuple[int, int]) -> SpoolReceipt:
    """Return a receipt with the settled sequences."""
    return SpoolReceipt(SPOOL_ID, through, list(ranges))


async def settle(spool: SqliteSpool, receipt: SpoolReceipt) -> Removed:
    """Remove the envelopes that *receipt* covers."""
    spool.settle(receipt)
    return await spool.forget()


async def sequences(spool: SqliteSpool) -> list[int]:
    """Return the sequences in the spool."""
    return [spooled.sequence for spooled in await spool.peek(after=0, limit=1000)]


def list_files(folder: Path) -> list[Path]:
    """Return the files of a spool."""
    return list(folder.iterdir())


def contents(folder: Path) -> bytes:
    """Return the content of all files."""
    return b"".join(path.read_bytes() for path in list_files(folder))


async def test_append_peek_forget(spool: SqliteSpool) -> None:
    """A receipt removes exactly what it covers, and the floor is the oldest remaining sequence."""
    await fill(spool, 10)
    assert await sequences(spool) == list(range(1, 11))
    assert [s.sequence for s in await spool.peek(after=3, limit=2)] == [4, 5]
    assert [s.sequence for s in await spool.peek_at([7, 2, 99])] == [2, 7]

    removed = await settle(spool, receipt(2, (4, 4), (6, 7)))

    assert removed.amount == Amount(5, 10)
    assert await sequences(spool) == [3, 5, 8, 9, 10]
    stats = spool.stats()
    assert (stats.floor, stats.next_sequence, stats.depth, stats.bytes) == (3, 11, 5, 500)


async def test_empty_floor_is_the_next_sequence(spool: SqliteSpool) -> None:
    """The floor of an empty spool is the next sequence."""
    await fill(spool, 3)
    await settle(spool, receipt(3))
    assert spool.stats().floor == 4
    assert spool.stats().oldest_ms is None


async def test_everything_outlives_the_process(tmp_path: Path) -> None:
    """Envelopes, marks, totals and the spool id survive a restart."""
    spool = await open_spool(tmp_path)
    await fill(spool, 3)
    await spool.append([], {cursor_of(SENSOR): 7, through_of(SENSOR, 1): 9}, now_ms=1)
    await settle(spool, receipt(1))
    await spool.close()

    spool = await open_spool(tmp_path, new=b"t" * 16)

    assert spool.spool_id == SPOOL_ID
    assert await sequences(spool) == [2, 3]
    assert spool.take_sequence() == 4
    asked = [cursor_of(SENSOR), through_of(SENSOR, 1), cursor_of(OTHER_SENSOR)]
    assert spool.marks(asked) == {asked[0]: 7, asked[1]: 9}
    await spool.close()
    view = inspection.look(tmp_path)
    assert view.totals["appended"] == Amount(3, 6)
    assert view.totals["settled"] == Amount(1, 2)
    assert view.stats == spool.stats()


async def test_marks_only_grow(tmp_path: Path) -> None:
    """A mark never decreases, in memory or on disk."""
    spool, mark = await open_spool(tmp_path), cursor_of(SENSOR)
    await spool.append([], {mark: 7}, now_ms=1)
    await spool.append([], {mark: 5}, now_ms=1)
    assert spool.marks([mark]) == {mark: 7}
    await spool.close()
    spool = await open_spool(tmp_path)
    assert spool.marks([mark]) == {mark: 7}
    await spool.close()


async def test_purge_takes_all_of_other_handles(spool: SqliteSpool) -> None:
    """
    A purge removes the envelopes and marks of other handles, and keeps the cursors of
    sensors.
    """
    await fill(spool, 2)
    await fill(spool, 3, handle=OTHER_HANDLE)
    marks = {spent_of(HANDLE, 1): 1, spent_of(OTHER_HANDLE, 1): 2, cursor_of(OTHER_SENSOR): 3}
    await spool.append([], marks, now_ms=1)

    removed = await spool.purge_all_but({HANDLE})

    assert removed.sequences == [3, 4, 5]
    assert await sequences(spool) == [1, 2]
    assert spool.marks(list(marks)) == {spent_of(HANDLE, 1): 1, cursor_of(OTHER_SENSOR): 3}
    assert (await spool.purge_all_but(set())).sequences == [1, 2]
    assert spool.marks(list(marks)) == {cursor_of(OTHER_SENSOR): 3}
    assert spool.stats().floor == 6


async def test_purge_leaves_no_byte(tmp_path: Path) -> None:
    """After a purge no byte of the envelopes is in any file of the spool, including its log."""
    spool = await open_spool(tmp_path)
    canary = os.urandom(32)
    await spool.append([Sealed(spool.take_sequence(), HANDLE, 1, canary * 40)], {}, now_ms=1)
    assert canary in contents(tmp_path)
    await spool.purge_all_but({OTHER_HANDLE})
    assert canary not in contents(tmp_path)
    await spool.close()


async def test_files_name_nobody(tmp_path: Path) -> None:
    """Neither a handle nor a sensor's address is in a file of the spool."""
    spool = await open_spool(tmp_path)
    await fill(spool, 1)
    await spool.append([], {cursor_of(SENSOR): 1, spent_of(HANDLE, 1): 2}, now_ms=1)
    assert HANDLE not in contents(tmp_path)
    assert SENSOR.encode() not in contents(tmp_path)
    await spool.close()


async def test_files_are_private(spool: SqliteSpool, tmp_path: Path) -> None:
    """Only the agent's user may read or write the files."""
    await fill(spool, 1)
    assert not [path for path in list_files(tmp_path) if path.stat().st_mode & 0o077]


async def test_too_many_bytes_evict_the_oldest(tmp_path: Path) -> None:
    """Above its limit the spool evicts and counts the oldest envelopes, and keeps the newest."""
    spool = await open_spool(tmp_path, max_bytes=500)
    await fill(spool, 5)
    sealed = [Sealed(spool.take_sequence(), HANDLE, 2, b"y" * 150)]
    removed = (await spool.append(sealed, {}, now_ms=2)).evicted
    assert removed.sequences == [1, 2]
    assert removed.amount == Amount(2, 4)
    sealed = [Sealed(spool.take_sequence(), HANDLE, 2, b"y" * 9000)]
    assert (await spool.append(sealed, {}, now_ms=2)).evicted.sequences == [3, 4, 5, 6]
    assert await sequences(spool) == [7]
    await spool.close()
    assert inspection.look(tmp_path).totals["evicted"] == Amount(6, 12)


async def test_too_old_is_evicted(spool: SqliteSpool) -> None:
    """Envelopes older than the limit are evicted, and younger ones are not."""
    await fill(spool, 2, at_ms=10)
    await fill(spool, 1, at_ms=20)
    assert (await spool.evict_older_than(20, now_ms=30)).sequences == [1, 2]
    assert (await spool.evict_older_than(20, now_ms=30)).sequences == []


async def test_failed_append_keeps_nothing_and_spends_the_sequence(spool: SqliteSpool) -> None:
    """A failed append keeps no envelope, and its sequence is never used again."""
    await fill(spool, 1)
    twice = Sealed(1, HANDLE, 1, b"z" * 10)
    new = Sealed(spool.take_sequence(), HANDLE, 1, b"z" * 10)
    with pytest.raises(SpoolError):
        await spool.append([new, twice], {cursor_of(SENSOR): 5}, now_ms=1)
    assert await sequences(spool) == [1]
    assert spool.marks([cursor_of(SENSOR)]) == {}
    assert spool.stats().depth == 1
    assert spool.take_sequence() == 3


async def test_full_disk_is_told_apart(tmp_path: Path) -> None:
    """A full disk refuses the envelope, keeps the others, and is not taken for damage."""
    spool = await open_spool(tmp_path)
    await fill(spool, 1)
    pages = await spool._run(lambda: spool._db.execute("PRAGMA page_count").fetchone()[0])
    await spool._run(lambda: spool._db.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    with pytest.raises(SpoolFull):
        await spool.append([Sealed(2, HANDLE, 1, b"z" * 100_000)], {}, now_ms=1)
    assert await sequences(spool) == [1]
    await spool.close()


async def test_restored_backup_spends_no_sequence_twice(tmp_path: Path) -> None:
    """
    A receipt ahead of the spool shows that its file is an older copy, and its sequences are
    skipped.
    """
    spool = await open_spool(tmp_path)
    await fill(spool, 2)
    await settle(spool, receipt(0, (1, 1), (5, 9)))
    assert spool.take_sequence() == 10
    assert spool.stats().next_sequence == 10
    await spool.close()


async def test_the_highest_receipt_leaves_a_sequence(spool: SqliteSpool) -> None:
    """After a receipt with the highest possible sequence the spool can still append."""
    await fill(spool, 2)
    said = wire_receipt.decode(wire_receipt.encode([receipt(MAX_SEQUENCE - 1)]))
    await settle(spool, said.spools[0])
    await fill(spool, 2)
    assert await sequences(spool) == [MAX_SEQUENCE, MAX_SEQUENCE + 1]
    assert spool.stats().next_sequence == MAX_SEQUENCE + 2


async def test_another_key_is_refused(tmp_path: Path) -> None:
    """
    A spool of another lease key is refused, because no tag would match and records would be taken
    twice.
    """
    await (await open_spool(tmp_path)).close()
    with pytest.raises(SpoolKeyChanged):
        await open_spool(tmp_path, key=X25519PrivateKey.generate())


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"not a database" * 100, id="overwritten"),
        pytest.param(lambda data: data[:4096] + b"\xff" * 4096 + data[8192:], id="a page"),
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda data: b"\xff" * 100 + data[100:], id="header"),
    ],
)
async def test_damage_is_set_aside(tmp_path: Path, damage: object) -> None:
    """A damaged file is set aside, and a new spool with another id begins."""
    spool = await open_spool(tmp_path)
    await fill(spool, 100)
    await spool.close()
    path = tmp_path / database_file.NAME
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))

    spool = await open_spool(tmp_path, new=b"t" * 16)

    assert spool.repair is not None
    assert spool.spool_id == b"t" * 16
    assert await sequences(spool) == []
    await fill(spool, 1)
    await spool.close()
    assert path.with_name("spool.db.damaged-1").exists()


async def test_marks_are_salvaged(tmp_path: Path) -> None:
    """The readable marks of a damaged file are copied, so that records are not taken twice."""
    spool = await open_spool(tmp_path)
    await fill(spool, 100)
    await spool.append([], {cursor_of(SENSOR): 7}, now_ms=1)
    page = await spool._run(
        lambda: spool._db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'gaps'"
        ).fetchone()[0]
    )
    await spool.close()
    with (tmp_path / database_file.NAME).open("r+b") as file:
        file.seek((page - 1) * 1024)
        file.write(b"\xff" * 1024)
    spool = await open_spool(tmp_path)
    assert spool.repair is not None
    assert spool.marks([cursor_of(SENSOR)]) == {cursor_of(SENSOR): 7}
    await spool.close()


async def test_half_begun_file_is_begun_again(tmp_path: Path) -> None:
    """If a process is killed while it creates a spool, the next one creates it again."""
    (tmp_path / database_file.NAME).touch()
    spool = await open_spool(tmp_path)
    assert spool.repair is None
    await spool.close()


def test_look_needs_a_spool(tmp_path: Path) -> None:
    """`look` reports a missing spool, and creates none."""
    with pytest.raises(SpoolError):
        inspection.look(tmp_path)
    (tmp_path / database_file.NAME).touch()
    with pytest.raises(SpoolError):
        inspection.look(tmp_path)


async def test_cancelled_append_still_ends(spool: SqliteSpool) -> None:
    """A cancelled append still completes its commit."""
    sealed = [Sealed(spool.take_sequence(), HANDLE, 1, b"x" * 10)]
    task = asyncio.create_task(spool.append(sealed, {}, now_ms=1))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await sequences(spool) == [1]
    assert spool.stats().depth == 1


async def check_after_a_kill(folder: Path, *, reported: int) -> None:
    """Check the promises of the spool in *folder* after a kill."""
    spool = await open_spool(folder)
    assert spool.repair is None
    cursor = spool.marks([cursor_of(SENSOR)])[cursor_of(SENSOR)]
    assert cursor >= reported
    here = await spool.peek(after=0, limit=100_000)
    assert all(int(spooled.payload) == spooled.sequence for spooled in here)
    assert cursor == spool.stats().next_sequence - 1
    stats = spool.stats()
    assert stats.depth == len(here)
    assert stats.bytes == 8 * len(here)
    await spool.close()
    totals = inspection.look(folder).totals
    assert totals["appended"].envelopes == cursor
    gone = totals["settled"] + totals["purged"] + totals["evicted"]
    assert totals["appended"] == gone + Amount(stats.depth, stats.depth)


@pytest.mark.slow
def test_kill_at_any_instant_tears_nothing(tmp_path: Path) -> None:
    """
    After kill -9 all confirmed envelopes are there, cursor and envelope agree, and totals are
    right.
    """
    reported = 0
    for life in range(8):
        with subprocess.Popen(
            [sys.executable, spool_appender.__file__, str(tmp_path)],
            env=agent_environ(),
            stdout=subprocess.PIPE,
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.05 + 0.037 * life)
            writer.kill()
            lines = writer.stdout.read().split(b"\n")
        reported = max([reported, *(int(line) for line in lines[:-1] if line)])
        asyncio.run(check_after_a_kill(tmp_path, reported=reported))
    with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)

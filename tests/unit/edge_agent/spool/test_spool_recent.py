"""The newest envelopes are in slots; they are kept, counted and erased like those in the table."""

import contextlib
import os
import random
import sqlite3
from pathlib import Path

import pytest

from edge_agent.ports import Amount, Sealed
from edge_agent.spool import database_file, inspection, verification
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.recent_slots import SLOTS
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.values.checkpoint import spent_of
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE
from tests.support.spool_appender import KEY, SPOOL_ID
from wire.envelope import SUITE_X25519, VERSION, WRAPPED_KEY_BYTES, Envelope, encode_envelope
from wire.receipt import SpoolReceipt

_PAGE = 1024


async def open_spool(folder: Path) -> SqliteSpool:
    """Open the spool in *folder*."""
    return await SqliteSpool.open(
        folder, Tags(KEY), new_spool_id=SPOOL_ID, bounds=SpoolLimits(1 << 24, min_free_bytes=0)
    )


def envelope(sequence: int, *, handle: bytes = HANDLE, size: int = 160) -> Sealed:
    """Return an envelope with unique content."""
    wrapped = bytes(WRAPPED_KEY_BYTES)
    payload = encode_envelope(
        Envelope(VERSION, SUITE_X25519, SPOOL_ID, sequence, wrapped, os.urandom(size))
    )
    return Sealed(sequence, handle, 5, payload)


async def append(spool: SqliteSpool, count: int, *, handle: bytes = HANDLE) -> list[Sealed]:
    """Append *count* envelopes of *handle* at once."""
    sealed = [envelope(spool.take_sequence(), handle=handle) for _ in range(count)]
    await spool.append(sealed, {spent_of(handle, 1): sealed[-1].sequence}, now_ms=1)
    return sealed


async def forget(spool: SqliteSpool, through: int, *ranges: tuple[int, int]) -> int:
    """Settle these sequences; return how many envelopes were removed."""
    spool.settle(SpoolReceipt(SPOOL_ID, through, list(ranges)))
    return (await spool.forget()).amount.envelopes


async def held(spool: SqliteSpool) -> list[int]:
    """Return the sequences in the spool."""
    return [spooled.sequence for spooled in await spool.peek(after=0, limit=100_000)]


def rows(folder: Path, table: str) -> int:
    """Return how many rows *table* has."""
    with contextlib.closing(database_file.open_read_only(folder)) as db:
        count: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        return count


def contents(folder: Path) -> bytes:
    """Return the content of all files."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


def frames(folder: Path) -> int:
    """Return how many pages the write-ahead log has."""
    size = (folder / f"{database_file.NAME}-wal").stat().st_size
    return (size - 32) // (_PAGE + 24)


async def test_what_is_settled_in_time_never_grows_the_file(tmp_path: Path) -> None:
    """Envelopes that are settled in time never make the file grow."""
    spool = await open_spool(tmp_path)
    sizes = set()
    for number in range(12 * 12):
        sealed = await append(spool, 4)
        if number % 12 == 11:
            assert await forget(spool, sealed[0].sequence - 1) == (44 if number == 11 else 48)
        if number > 60:
            with contextlib.closing(database_file.open_read_only(tmp_path)) as db:
                sizes.add(db.execute("PRAGMA page_count").fetchone()[0])
    assert len(sizes) == 1
    assert rows(tmp_path, "envelopes") == 0
    await spool.close()
    assert verification.verify(tmp_path).is_sound


async def test_a_commit_writes_few_pages(tmp_path: Path) -> None:
    """
    A commit of four envelopes and their marks changes three or four pages, however long the spool
    runs.
    """
    spool = await open_spool(tmp_path)
    before = 0
    for number in range(120):
        sealed = await append(spool, 4)
        if number % 12 == 11:
            await forget(spool, sealed[-1].sequence)
        if number == 60:
            before = frames(tmp_path)
    # 59 commits, and five times the pages of a settlement.
    assert frames(tmp_path) - before <= 59 * 4 + 5 * 2
    await spool.close()


@pytest.mark.parametrize(
    "sizes",
    [pytest.param([1, 4, 7], id="small"), pytest.param([1, 4, 7, 33, 200], id="mixed")],
)
async def test_what_nobody_settles_is_folded(tmp_path: Path, sizes: list[int]) -> None:
    """
    Envelopes that are not settled are moved to the table beyond the slots, all of them and in
    order.
    """
    spool = await open_spool(tmp_path)
    wanted: list[Sealed] = []
    rng = random.Random(5)
    while len(wanted) < 5 * SLOTS:
        wanted += await append(spool, rng.choice(sizes))
    found = await spool.peek(after=0, limit=100_000)
    assert [(s.sequence, s.payload) for s in found] == [(s.sequence, s.payload) for s in wanted]
    middle = wanted[len(wanted) // 2].sequence
    some = await spool.peek(after=middle, limit=3, through=middle + 2)
    assert [spooled.sequence for spooled in some] == [middle + 1, middle + 2]
    stats = spool.stats()
    assert (stats.depth, stats.bytes) == (len(wanted), sum(len(s.payload) for s in wanted))
    await spool.close()
    assert verification.verify(tmp_path).is_sound


async def test_random_lives_balance(tmp_path: Path) -> None:
    """
    After any appends, settlements and restarts, in any order, the spool has exactly the right
    envelopes.
    """
    rng = random.Random(random.randrange(1 << 32))
    spool, model = await open_spool(tmp_path), set[int]()
    for _ in range(150):
        match rng.randrange(6):
            case 0 | 1 | 2:
                model |= {s.sequence for s in await append(spool, rng.choice([1, 4, 30, 60]))}
            case 3:
                through = rng.randrange(spool.stats().next_sequence)
                first = through + 1 + rng.randrange(5)
                gone = {s for s in model if s <= through or first <= s <= first + 9}
                gone = {s for s in gone if s < spool.stats().next_sequence}
                assert await forget(spool, through, (first, first + 9)) == len(gone)
                model -= gone
            case 4:
                spool.take_sequence()  # This sequence was used by an append that failed.
            case 5:
                await spool.close()
                spool = await open_spool(tmp_path)
        assert await held(spool) == sorted(model)
        assert spool.stats().depth == len(model)
        assert spool.stats().floor == min(model, default=spool.stats().next_sequence)
    totals = inspection.look(tmp_path).totals
    assert totals["appended"] == totals["settled"] + Amount(len(model), 5 * len(model))
    await spool.close()
    assert verification.verify(tmp_path).problems == []


async def test_purge_takes_what_was_settled_long_ago(tmp_path: Path) -> None:
    """A slot still has a settled envelope until it is overwritten; a purge erases it."""
    spool = await open_spool(tmp_path)
    settled = await append(spool, 3, handle=OTHER_HANDLE)
    await forget(spool, settled[-1].sequence)
    waiting = await append(spool, 2, handle=OTHER_HANDLE)
    kept = await append(spool, 2)

    removed = await spool.purge_all_but({HANDLE})

    assert removed.sequences == [s.sequence for s in waiting]
    assert await held(spool) == [s.sequence for s in kept]
    files = contents(tmp_path)
    for gone in settled + waiting:
        body = gone.payload[-160:]
        assert not [at for at in range(0, 160, 16) if body[at : at + 16] in files]
    assert all(s.payload in files for s in kept)
    await spool.close()
    assert verification.verify(tmp_path).is_sound


async def test_a_reader_delays_the_end_of_a_purge_and_does_not_prevent_it(tmp_path: Path) -> None:
    """A reader keeps the log from being emptied, and the next purge after it empties the log."""
    spool = await open_spool(tmp_path)
    await spool._run(lambda: spool._db.execute("PRAGMA busy_timeout = 10").fetchall())
    (gone,) = await append(spool, 1)
    with contextlib.closing(database_file.open_read_only(tmp_path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM spool").fetchone()
        await spool.purge_all_but({OTHER_HANDLE})
    assert spool.has_remains
    await spool.purge_all_but({OTHER_HANDLE})
    files = contents(tmp_path)
    assert gone.payload[-32:] not in files
    await spool.close()


async def test_file_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    """
    After the upgrade of a spool of version 2 its envelopes are there, and sequences
    continue.
    """
    spool = await open_spool(tmp_path)
    await append(spool, 40)
    await spool.close()
    with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as db:
        db.executescript(
            "DROP VIEW held; DROP TABLE recent; ALTER TABLE spool DROP COLUMN folded_through;"
            "PRAGMA user_version = 2"
        )
    spool = await open_spool(tmp_path)
    assert spool.repair is None
    await append(spool, 4)
    assert await held(spool) == list(range(1, 45))
    await spool.close()
    assert verification.verify(tmp_path).is_sound


async def test_damaged_file_gives_back_its_slots(tmp_path: Path) -> None:
    """The valid envelopes in the slots of a damaged file are recovered; settled ones are not."""
    spool = await open_spool(tmp_path)
    first = await append(spool, 20)
    await forget(spool, first[-1].sequence)
    second = await append(spool, 20)
    await spool.close()
    with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as db:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'gaps'"
        page = db.execute(query).fetchone()[0]
    with (tmp_path / database_file.NAME).open("r+b") as file:
        file.seek((page - 1) * _PAGE)
        file.write(b"\xff" * _PAGE)

    spool = await open_spool(tmp_path)

    assert spool.repair is not None
    assert (spool.repair.envelopes, spool.repair.lost) == (20, 0)
    assert await held(spool) == [s.sequence for s in second]
    await spool.close()
    totals = inspection.look(tmp_path).totals
    assert totals["appended"] == Amount(40, 200)
    assert verification.verify(tmp_path).is_sound

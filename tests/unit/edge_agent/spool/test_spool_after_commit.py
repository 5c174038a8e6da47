"""An error after a commit does not fail the operation; the remaining work is done later."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from edge_agent.ports import Sealed
from edge_agent.spool import database_file
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE
from tests.support.spool_appender import KEY, SPOOL_ID


@pytest_asyncio.fixture
async def spool(tmp_path: Path) -> AsyncIterator[SqliteSpool]:
    """An empty spool."""
    spool = await SqliteSpool.open(
        tmp_path, Tags(KEY), new_spool_id=SPOOL_ID, bounds=SpoolLimits(1 << 20, min_free_bytes=0)
    )
    yield spool
    await spool.close()


def sealed(spool: SqliteSpool, payload: bytes = b"x" * 100) -> Sealed:
    """Return an envelope to append."""
    return Sealed(spool.take_sequence(), HANDLE, 1, payload)


def is_clean(spool: SqliteSpool) -> bool:
    """Tell whether no purged data remain."""
    return not spool.has_remains


def contents(folder: Path) -> bytes:
    """Return the content of all files."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_what_is_committed_is_not_said_to_have_failed(spool: SqliteSpool) -> None:
    """If the disk fails right after the commit, the envelope is kept, and kept once."""
    await spool.append([sealed(spool)], {}, now_ms=1)
    said: list[str] = []
    spool._db.set_trace_callback(said.append)
    # Every query after the commit is interrupted.
    spool._db.set_progress_handler(lambda: "COMMIT" in said[:-1], 1)
    try:
        await spool.append([sealed(spool)], {}, now_ms=1)
    finally:
        spool._db.set_progress_handler(None, 1)
    assert spool.stats().depth == 2


async def test_log_that_cannot_be_emptied_fails_no_purge(
    spool: SqliteSpool, tmp_path: Path
) -> None:
    """
    A purge succeeds although a reader or the disk keeps the log, which a later purge
    empties.
    """
    canary = os.urandom(32)
    await spool.append([sealed(spool, canary * 40)], {}, now_ms=1)
    with contextlib.closing(database_file.open_read_only(tmp_path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM held").fetchone()
        await spool._run(lambda: spool._db.execute("PRAGMA busy_timeout = 1").fetchone())
        assert (await spool.purge_all_but({OTHER_HANDLE})).sequences == [1]
    assert not is_clean(spool)

    def refuse(action: int, what: str | None, *_: str | None) -> int:
        is_asked = action == sqlite3.SQLITE_PRAGMA and what == "wal_checkpoint"
        return sqlite3.SQLITE_DENY if is_asked else sqlite3.SQLITE_OK

    spool._db.set_authorizer(refuse)
    assert (await spool.purge_all_but({OTHER_HANDLE})).sequences == []
    assert not is_clean(spool)
    spool._db.set_authorizer(None)

    assert (await spool.purge_all_but({HANDLE})).sequences == []
    assert is_clean(spool)
    assert canary not in contents(tmp_path)


@pytest.mark.parametrize(
    "make", [pytest.param(Path.mkdir, id="resists"), pytest.param(os.mkfifo, id="goes")]
)
async def test_damaged_file_on_a_bad_disk_stops_no_purge(
    spool: SqliteSpool, tmp_path: Path, make: object
) -> None:
    """A damaged file that cannot be overwritten is deleted; if that fails too, it is reported."""
    await spool.append([sealed(spool)], {}, now_ms=1)
    resisting = tmp_path / f"{database_file.NAME}.damaged-1"
    assert callable(make)
    make(resisting)

    assert (await spool.purge_all_but({OTHER_HANDLE})).sequences == [1]

    assert spool.has_remains is resisting.is_dir()
    assert resisting.exists() is resisting.is_dir()

"""Repair of a damaged spool: readable envelopes are recovered, and no sequence is used twice."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.errors import SpoolError, SpoolKeyChanged
from edge_agent.ports import Sealed
from edge_agent.spool import database_file, inspection, verification
from edge_agent.spool.database_file import MAX_DAMAGED
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.repair import JUMP, Repair
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.values.checkpoint import cursor_of
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE, SENSOR, agent_environ
from tests.support.spool_appender import KEY, SPOOL_ID
from wire.envelope import SUITE_X25519, VERSION, WRAPPED_KEY_BYTES, Envelope, encode_envelope

_PAGE = 1024
_DIES_BEFORE_A_RENAME = """
import os, sys
from pathlib import Path
from typing import Any, ClassVar
from edge_agent.spool import opening
from edge_agent.spool.index_tags import Tags
from tests.support.spool_appender import KEY

left = int(sys.argv[2])

def watch(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left < 0:
            os._exit(9)

sys.addaudithook(watch)
opening.open_file(
    Path(sys.argv[1]), new_spool_id=b"t" * 16, key_check=Tags(KEY).check()
).connection.close()
"""


async def open_spool(folder: Path) -> SqliteSpool:
    """Open the spool in *folder*."""
    return await SqliteSpool.open(
        folder, Tags(KEY), new_spool_id=b"t" * 16, bounds=SpoolLimits(1 << 20, min_free_bytes=0)
    )


def envelope(sequence: int) -> Sealed:
    """Return an envelope of a plausible form."""
    sealed = sequence.to_bytes(4, "big") * 40
    wrapped = bytes(WRAPPED_KEY_BYTES)
    payload = encode_envelope(Envelope(VERSION, SUITE_X25519, SPOOL_ID, sequence, wrapped, sealed))
    return Sealed(sequence, HANDLE, 2, payload)


async def make_spool(folder: Path, count: int = 300) -> None:
    """Create a spool with *count* envelopes."""
    spool = await SqliteSpool.open(
        folder, Tags(KEY), new_spool_id=SPOOL_ID, bounds=SpoolLimits(1 << 20, min_free_bytes=0)
    )
    for _ in range(count // 10):
        sealed = [envelope(spool.take_sequence()) for _ in range(10)]
        await spool.append(sealed, {cursor_of(SENSOR): sealed[-1].sequence}, now_ms=1)
    await spool.close()


def root_page(folder: Path, table: str) -> int:
    """Return the number of the first page of *table*."""
    with contextlib.closing(sqlite3.connect(folder / database_file.NAME)) as db:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        page: int = db.execute(query, [table]).fetchone()[0]
        return page


def damage(folder: Path, *pages: int) -> None:
    """Overwrite *pages* of the file."""
    with (folder / database_file.NAME).open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * _PAGE)
            file.write(b"\xff" * _PAGE)


def set_aside(folder: Path) -> list[str]:
    """Return the damaged files that were set aside."""
    return sorted(path.name for path in folder.glob("*.damaged-?"))


async def sequences(spool: SqliteSpool) -> list[int]:
    """Return the sequences in the spool."""
    return [spooled.sequence for spooled in await spool.peek(after=0, limit=1000)]


async def test_all_but_the_damaged_page_comes_back(tmp_path: Path) -> None:
    """
    Every envelope outside the damaged pages is recovered, and the totals count the lost
    ones.
    """
    await make_spool(tmp_path)
    pages = (tmp_path / database_file.NAME).stat().st_size // _PAGE
    damage(tmp_path, pages // 2, pages - 20)

    spool = await open_spool(tmp_path)

    here = await sequences(spool)
    assert spool.repair == Repair(len(here), 300 - len(here))
    assert 280 <= len(here) < 300
    assert spool.spool_id == SPOOL_ID
    assert [s.payload for s in await spool.peek(after=0, limit=1)] == [envelope(1).payload]
    assert spool.marks([cursor_of(SENSOR)]) == {cursor_of(SENSOR): 300}
    await spool.close()
    totals = inspection.look(tmp_path).totals
    assert totals["damaged"].envelopes == 300 - len(here)
    assert totals["damaged"].observations == 2 * (300 - len(here))
    assert verification.verify(tmp_path).is_sound


async def test_sequences_go_on_far_above(tmp_path: Path) -> None:
    """Sequences after a repair are above any that was used before."""
    await make_spool(tmp_path)
    damage(tmp_path, root_page(tmp_path, "gaps"))
    spool = await open_spool(tmp_path)
    assert await sequences(spool) == list(range(1, 301))
    assert spool.take_sequence() == 301 + JUMP
    await spool.close()


@pytest.mark.parametrize("column", ["next_sequence", "appended_envelopes", "folded_through"])
@pytest.mark.parametrize("number", [(1 << 63) - 1, -(1 << 63)])
async def test_numbers_that_cannot_be_are_not_taken_over(
    tmp_path: Path, column: str, number: int
) -> None:
    """Impossible numbers in a damaged row are not copied."""
    await make_spool(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as db:
        db.execute(f"UPDATE spool SET {column} = ?", [number])  # noqa: S608 - a column
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path, root_page(tmp_path, "gaps"))
    spool = await open_spool(tmp_path)
    assert spool.repair == Repair(300, None)
    assert spool.spool_id == SPOOL_ID
    assert spool.take_sequence() == 301 + JUMP
    await spool.close()
    assert verification.verify(tmp_path).is_sound


async def test_envelopes_tell_whose_they_are(tmp_path: Path) -> None:
    """If the row with the spool id is lost, the envelopes give the id."""
    await make_spool(tmp_path)
    damage(tmp_path, root_page(tmp_path, "spool"))
    spool = await open_spool(tmp_path)
    assert spool.repair == Repair(300, None)
    assert spool.spool_id == SPOOL_ID
    assert spool.take_sequence() == 301 + JUMP
    await spool.close()
    assert verification.verify(tmp_path).is_sound


async def test_kill_while_it_is_repaired(tmp_path: Path) -> None:
    """A repair that was killed starts again from the damaged file."""
    await make_spool(tmp_path)
    damage(tmp_path, root_page(tmp_path, "gaps"))
    (tmp_path / "spool.db.new").write_bytes(b"half of it")
    (tmp_path / "spool.db.new-wal").write_bytes(b"and its log")
    spool = await open_spool(tmp_path)
    assert len(await sequences(spool)) == 300
    await spool.close()


@pytest.mark.slow
async def test_kill_while_files_change_places(tmp_path: Path) -> None:
    """
    If a process is killed before any rename of a repair, the next one completes the
    replacement.
    """
    renames, killed = 0, True
    while killed:
        folder = tmp_path / str(renames)
        await make_spool(folder, 20)
        damage(folder, root_page(folder, "gaps"))
        child = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", _DIES_BEFORE_A_RENAME, str(folder), str(renames)],
            env=agent_environ(),
            check=False,
            timeout=60,
        )
        assert child.returncode in (0, 9)
        killed, renames = child.returncode == 9, renames + 1
        spool = await open_spool(folder)
        assert await sequences(spool) == list(range(1, 21))
        assert spool.spool_id == SPOOL_ID
        assert spool.take_sequence() == 21 + JUMP
        await spool.close()
    assert renames >= 3


async def test_withdrawal_erases_what_was_set_aside(tmp_path: Path) -> None:
    """A purge erases damaged files completely, because they cannot be purged of one handle."""
    await make_spool(tmp_path)
    damage(tmp_path, root_page(tmp_path, "gaps"))
    spool = await open_spool(tmp_path)
    aside = tmp_path / "spool.db.damaged-1"
    await spool.purge_all_but({HANDLE})
    assert aside.exists()
    await spool.purge_all_but({OTHER_HANDLE})
    assert not aside.exists()
    await spool.close()


async def test_damaged_files_do_not_pile_up(tmp_path: Path) -> None:
    """Only a limited number of damaged files is kept."""
    await make_spool(tmp_path)
    for _ in range(MAX_DAMAGED + 2):
        damage(tmp_path, root_page(tmp_path, "gaps"))
        await (await open_spool(tmp_path)).close()
    assert set_aside(tmp_path) == ["spool.db.damaged-3", "spool.db.damaged-4"]


async def test_verify_says_what_is_wrong(tmp_path: Path) -> None:
    """`verify` finds a payload of another spool, an unused sequence and wrong totals."""
    await make_spool(tmp_path)
    assert verification.verify(tmp_path).problems == []
    with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as db:
        db.execute("UPDATE envelopes SET payload = zeroblob(10) WHERE sequence = 3")
        db.execute("UPDATE envelopes SET sequence = 999 WHERE sequence = 4")
        db.execute("UPDATE spool SET settled_envelopes = 1")
        db.commit()
    problems = verification.verify(tmp_path).problems
    assert [problem.split(":")[0] for problem in problems] == [
        "envelope 3",
        "envelope 999",
        "the counts of what is held do not fit what is held",
        "envelopes",
    ]


async def test_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """A file of another version is refused and not changed."""
    await make_spool(tmp_path, 10)
    with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as db:
        db.execute(f"PRAGMA user_version = {database_file.VERSION + 1}")
    with pytest.raises(SpoolError):
        await open_spool(tmp_path)
    assert set_aside(tmp_path) == []


class Kept(sqlite3.Connection):
    """A connection that is remembered, so that only the code itself can close it."""

    made: ClassVar[list[Kept]] = []

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.made.append(self)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        try:
            self.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            return True
        except sqlite3.Error:
            return False
        return False


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no database at all, in sectors of a disk" * 40, id="no database"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 4080, id="nothing after the name"),
        pytest.param(b"\0" * 4096, id="zeros"),
    ],
)
async def test_no_connection_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """The spool closes each connection that it opened, for every content of the file."""
    connect = functools.partial(sqlite3.connect, factory=Kept)
    monkeypatch.setattr(sqlite3, "connect", connect)
    Kept.made.clear()
    (tmp_path / database_file.NAME).write_bytes(content)
    await (await open_spool(tmp_path)).close()
    with pytest.raises(SpoolKeyChanged):
        await SqliteSpool.open(
            tmp_path,
            Tags(X25519PrivateKey.generate()),
            new_spool_id=SPOOL_ID,
            bounds=SpoolLimits(1 << 20, min_free_bytes=0),
        )
    assert len(Kept.made) > 1
    assert all(one.is_closed for one in Kept.made)


async def test_no_connection_stays_open_to_a_spool_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spool that is refused is closed, so that another version can open it."""
    await make_spool(tmp_path, 10)
    with contextlib.closing(sqlite3.connect(tmp_path / database_file.NAME)) as db:
        db.execute("PRAGMA user_version = 99")
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Kept))
    Kept.made.clear()
    with pytest.raises(SpoolError, match="another version"):
        await open_spool(tmp_path)
    assert [one.is_closed for one in Kept.made] == [True]

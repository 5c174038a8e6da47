"""Searches the raw files of a database server for erased data."""

import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psycopg

from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database
from tests.fixtures.vault import Office

_LEFT_OUT = {"pg_wal"}
"""Files in which erased data remain for a time, as the certificate of erasure says."""
_ENOUGH = 12


def names_of(office: Office, subject: str) -> dict[str, bytes]:
    """Return all pseudonyms and handles of *subject* as raw bytes."""
    handles = [
        bytes.fromhex(str(handle))
        for (handle,) in office.vault.fetch(
            "SELECT encode(handle, 'hex') FROM vault.handles WHERE subject = %s", subject
        )
    ]
    pseudonyms = [
        bytes.fromhex(str(pseudonym))
        for (pseudonym,) in office.telemetry.fetch(
            "SELECT DISTINCT encode(pseudonym, 'hex') FROM vv.series"
            " JOIN vv.permissions USING (series_id) WHERE handle = ANY(%s)",
            handles,
        )
    ]
    found = {f"handle {n}": value for n, value in enumerate(handles)}
    return found | {f"pseudonym {n}": value for n, value in enumerate(pseudonyms)}


def rows_of(database: Database, series: Iterable[int]) -> dict[str, bytes]:
    """Return parts of the rows and aggregates of *series* as they are stored in files."""
    wanted = list(series)
    found = {}
    for n, (number, value) in enumerate(
        database.fetch(
            "SELECT DISTINCT series_id, value FROM vv.observations WHERE series_id = ANY(%s)",
            wanted,
        )
    ):
        found[f"row {n}"] = struct.pack("<if", int(str(number)), float(str(value)))
    for width in ("1m", "1h", "1d"):
        totals = database.fetch(
            f"SELECT DISTINCT total FROM vv.aggregates_{width} WHERE series_id = ANY(%s)",  # noqa: S608
            wanted,
        )
        # A whole number has mostly zero bytes, which occur everywhere.
        telling = [float(str(t)) for (t,) in totals if float(str(t)) % 1][:_ENOUGH]
        found |= {f"total {width} {n}": struct.pack("<d", t) for n, t in enumerate(telling)}
    return found


def checkpoint(server: Postgres) -> None:
    """Make *server* write all data to its files, and delete the files of dropped tables."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def found_in(folders: Iterable[Path], needles: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return the files of *folders* that hold each needle, as raw bytes or hexadecimal."""
    found: dict[str, list[str]] = {}
    for path in (path for folder in folders for path in _files(folder)):
        for name in _needles_in(path, needles):
            found.setdefault(name, []).append(str(path))
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not _LEFT_OUT.intersection(path.parts):
            yield path


def _needles_in(path: Path, needles: Mapping[str, bytes]) -> Iterator[str]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for name, needle in needles.items():
                if data.find(needle) >= 0 or data.find(needle.hex().encode()) >= 0:
                    yield name
    except (FileNotFoundError, ValueError):
        # The file is empty, or was deleted after it was listed.
        return

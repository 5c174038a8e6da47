"""Damage to the files of a database server, as a failing disk does it."""

from pathlib import Path
from typing import Final

from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database

_PAGE_BYTES: Final = 8192
_HEADER_BYTES: Final = 24
_LENGTH_BYTES: Final = 4
_IS_COMPRESSED: Final = 2
"""In the length of a value (varatt.h, on little-endian machines)."""
_ONE_GIB: Final = (1 << 30) - 1
_FILE: Final = "SELECT pg_relation_filepath(%s::regclass)"


def spread_rows(database: Database, table: str) -> None:
    """Give each row of *table*, which has to be empty, a page of its own, found by an index."""
    database.execute(f"ALTER TABLE {table} SET (fillfactor = 10)")
    database.execute(f'ALTER DATABASE "{database.name}" SET enable_seqscan = off')


def damage_page(server: Postgres, database: Database, table: str, value: bytes) -> None:
    """Overwrite the header of the page of *table* that holds *value*; restart *server*."""
    with _Stopped(server, database, table) as file:
        content = bytearray(file.read_bytes())
        start = _found(content, value) // _PAGE_BYTES * _PAGE_BYTES
        content[start : start + _HEADER_BYTES] = b"\xff" * _HEADER_BYTES
        file.write_bytes(content)


def damage_value(server: Postgres, database: Database, table: str, value: bytes) -> None:
    """
    Have *value*, a long one, say that it is compressed and 1 GiB long; restart *server*.

    The server answers that it cannot have so much memory for it, and goes on.
    """
    with _Stopped(server, database, table) as file:
        content = bytearray(file.read_bytes())
        at = _found(content, value)
        header = int.from_bytes(content[at - _LENGTH_BYTES : at], "little")
        content[at - _LENGTH_BYTES : at] = (header | _IS_COMPRESSED).to_bytes(4, "little")
        content[at : at + _LENGTH_BYTES] = _ONE_GIB.to_bytes(4, "little")
        file.write_bytes(content)


def _found(content: bytes | bytearray, value: bytes) -> int:
    at = content.find(value)
    assert at >= 0, "no page has this value"
    assert content.find(value, at + 1) < 0, "several pages have this value"
    return at


class _Stopped:
    """The file of a table while its server is stopped; at the end the server runs again."""

    def __init__(self, server: Postgres, database: Database, table: str) -> None:
        ((path,),) = database.fetch(_FILE, table)
        database.execute("CHECKPOINT")
        self._server = server
        self._file = server.data / str(path)

    def __enter__(self) -> Path:
        self._server.stop()
        return self._file

    def __exit__(self, *_: object) -> None:
        self._server.start()

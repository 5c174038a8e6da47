"""The base of the repositories: runs the statements of one SQL file in one transaction."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from trust.ports import Keys
from trust.vault.database import Connection, Row


class Repository:
    """
    The records of one aggregate, within one transaction.

    A repository never begins or commits: the code that opened the transaction does.

    Args:
        connection: A connection inside that transaction.

        keys: Keys to sign, verify, seal and open with.
    """

    _sql: ClassVar[Mapping[str, bytes]]
    """The statements of the aggregate, by name."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def _run(self, name: str, *values: Any, **named: Any) -> int:
        """Run a statement with positional or named values; return how many rows it wrote."""
        return self._connection.execute(self._sql[name], named or values).rowcount

    def _run_each(self, name: str, rows: Iterable[Any]) -> None:
        """Run a statement once for each of *rows*: a sequence or a mapping of values."""
        with self._connection.cursor() as cursor:
            cursor.executemany(self._sql[name], rows)

    def _fetch(self, name: str, *values: Any) -> list[Row]:
        """Run a statement with *values*; return every row of its result."""
        return self._connection.execute(self._sql[name], values).fetchall()

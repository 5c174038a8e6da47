"""What the repositories have in common: the statements of one file, run within one transaction."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from trust.ports import Keys
from trust.vault.database import Connection, Row


class Repository:
    """
    One aggregate, seen from inside one transaction.

    It begins and commits nothing: who opened the transaction does.

    Args:
        connection: In that transaction.

        keys: To sign, verify, seal and open with.
    """

    _sql: ClassVar[Mapping[str, bytes]]
    """The statements of the aggregate, by name."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def _run(self, name: str, *values: Any, **named: Any) -> int:
        """Run a statement with *values*, or with values by name; return how many rows it wrote."""
        return self._connection.execute(self._sql[name], named or values).rowcount

    def _run_each(self, name: str, rows: Iterable[Any]) -> None:
        """Run a statement once for each of *rows*: the values, or a mapping of them."""
        with self._connection.cursor() as cursor:
            cursor.executemany(self._sql[name], rows)

    def _fetch(self, name: str, *values: Any) -> list[Row]:
        """Run a statement with *values*; return every row that it finds."""
        return self._connection.execute(self._sql[name], values).fetchall()

"""What the telemetry database stores about one person, read for that person alone."""

import contextlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from runtime.database import named_sql
from trust.domain.pseudonyms import Pseudonym
from trust.vault.database import Connection, DatabaseLink, Row

_SQL: Final = named_sql.read("trust.telemetry", "stored.sql")
_numbers = itertools.count()


class Stored:
    """
    Observations and aggregates of some pseudonyms, from one snapshot: to read as often as needed.

    Args:
        connection: A connection inside the transaction that has the snapshot.

        pseudonyms: Whose observations.
    """

    def __init__(self, connection: Connection, pseudonyms: Sequence[Pseudonym]) -> None:
        self._connection = connection
        self._pseudonyms = [pseudonym.value for pseudonym in pseudonyms]

    def observations(self, *, together: Collection[int] = ()) -> Iterator[Row]:
        """
        Yield purpose, quantity, time, value and flags, by purpose, quantity and time.

        Args:
            together: Quantities that follow the others of their purpose, sorted by time only, so
                that values of one moment are neighbours.
        """
        yield from self._rows("observations", {"together": list(together)})

    def aggregates(self) -> Iterator[Row]:
        """
        Yield what is kept of minutes, hours and days, by purpose, quantity, length and time.

        The rows are tuples of purpose, quantity, length in seconds, begin, number of observations,
        their sum, the lowest and the highest.
        """
        yield from self._rows("aggregates", {})

    def _rows(self, name: str, values: Mapping[str, Any]) -> Iterator[Row]:
        # A cursor of the server: there may be more rows than fit into memory.
        with self._connection.cursor(name=f"{name}_{next(_numbers)}") as cursor:
            cursor.itersize = 10_000
            cursor.execute(_SQL[name], {"pseudonyms": self._pseudonyms, **values})
            yield from cursor


@contextlib.contextmanager
def stored_of(link: DatabaseLink, pseudonyms: Sequence[Pseudonym]) -> Iterator[Stored]:
    """
    Yield what is stored of *pseudonyms*, to read until the end of the context.

    Raises:
        TelemetryUnavailable: The database cannot be read now.
    """
    with link.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield Stored(connection, pseudonyms)

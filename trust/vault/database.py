"""
Connections to PostgreSQL, and the translation of their errors.

Errors never contain a text of the server or of the driver, because it may quote a row.
"""

import contextlib
from collections.abc import Collection, Iterator
from typing import Any, Final

import psycopg

from runtime.database import postgres, schema_state
from runtime.database.schema_state import SchemaStatus
from runtime.errors import SessionRefused
from runtime.logs import describe
from trust.config import DatabaseSettings
from trust.errors import Unavailable

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]
DriverError = psycopg.Error
"""An error of the driver inside a transaction. The transaction cannot be used any more."""
_OF_A_ROW: Final = (psycopg.DataError, psycopg.IntegrityError)
"""A value is out of range, or a constraint refuses it."""
_DAMAGED: Final = frozenset(
    {
        "XX000",  # internal_error: among others, the length of a value is impossible
        "XX001",  # data_corrupted: a page or a part of a large value is damaged or missing
        "XX002",  # index_corrupted
        "58030",  # io_error: the disk cannot read this block
        "58P01",  # undefined_file: the row names a transaction that never was
        "54000",  # program_limit_exceeded: a value is too large for its index
    }
)
"""SQLSTATEs of one damaged page or row, which the server answers and then goes on."""


def parameters(settings: DatabaseSettings, *, section: str) -> dict[str, Any]:
    """
    Return the arguments for psycopg to connect with.

    Args:
        settings: The dsn and the password file.

        section: The section of the configuration file that holds *settings*, for errors.

    Raises:
        ConfigError: The dsn is invalid or contains a password, or the password file cannot be
            read.
    """
    return postgres.parameters(
        settings.dsn,
        settings.password_file,
        section=section,
        application="vitalveil trust",
        connect_timeout_s=5,
    )


def why(error: psycopg.Error | SessionRefused) -> str:
    """Return the cause of *error* and what to do, without the text of the driver."""
    return describe(error).removesuffix(".")


def is_of_a_row(error: psycopg.Error) -> bool:
    """
    Tell whether the server is well, and only what *error* was about cannot be read or written.

    A server that is damaged as a whole may look like this at first. That is found out by the next
    step: recording that a unit failed needs a transaction that commits.
    """
    return isinstance(error, _OF_A_ROW) or error.sqlstate in _DAMAGED


class DatabaseLink:
    """
    A connection that is opened at its first use, and again after it was lost.

    Not safe to share between threads.

    Args:
        settings: Where to connect.

        section: The section of the configuration file that holds *settings*, for errors.

        error: The class of error to raise when the server cannot be used.
    """

    def __init__(
        self, settings: DatabaseSettings, *, section: str, error: type[Unavailable]
    ) -> None:
        self._parameters = parameters(settings, section=section)
        self._error = error
        self._connection: Connection | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """
        Yield a connection in a transaction, which commits when the block ends without an error.

        Raises:
            Unavailable: The server cannot be used, or refused a row. Whether the transaction was
                committed is unknown.
        """
        with self._translated(), contextlib.ExitStack() as stack:
            connection = self._open()
            try:
                stack.enter_context(connection.transaction())
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                # The server was restarted since the last use. Only BEGIN was sent, so repeating
                # it is safe.
                connection = self._open()
                stack.enter_context(connection.transaction())
            yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as exc:
            # An error that ended the session as well is the server's, whatever it says.
            is_up = self._connection is not None and not self._connection.closed
            raise self._error(why(exc), is_of_a_row=is_up and is_of_a_row(exc)) from None

    def schema(self, steps: Collection[int]) -> SchemaStatus:
        """
        Return how the schema of the database compares with *steps*, numbers of migrations.

        Raises:
            Unavailable: The server does not answer.
        """
        with self._translated():
            return schema_state.judge(schema_state.ask(self._open()), steps)

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = postgres.connect(self._parameters)
            except (psycopg.Error, SessionRefused) as exc:
                raise self._error(why(exc)) from None
        return self._connection

    def close(self) -> None:
        """Close the connection if one is open; the next transaction opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

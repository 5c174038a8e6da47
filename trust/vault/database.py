"""
Connections to PostgreSQL, and what goes wrong with them.

No text of the server or of the driver passes: it may quote a row.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

from runtime.database import postgres
from runtime.errors import SessionRefused
from runtime.logs import describe
from trust.config import DatabaseSettings
from trust.errors import Unavailable

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]
DriverError = psycopg.Error
"""What the driver raises inside a transaction, which is of no use afterwards."""
_OF_A_ROW = (psycopg.DataError, psycopg.IntegrityError)
"""The server is well: a value is out of range, a constraint says no, a row cannot be read."""


def parameters(settings: DatabaseSettings, *, section: str) -> dict[str, Any]:
    """
    Return how to connect.

    Raises:
        ConfigError: The dsn is none, holds a password, or the password file cannot be read.
    """
    return postgres.parameters(
        settings.dsn,
        settings.password_file,
        section=section,
        application="vitalveil trust",
        connect_timeout_s=5,
    )


def why(error: psycopg.Error | SessionRefused) -> str:
    """Return all of *error* that is safe to say."""
    if isinstance(error, SessionRefused):
        return str(error)
    found = postgres.meaning(error)
    return describe(error) if found is None else found.text


class DatabaseLink:
    """
    A connection that is opened at its first use, and again after it broke.

    Not safe to share between threads.

    Args:
        settings: Where to connect.

        section: Their place in the settings, for errors.

        error: What to raise when the server does not do its part.
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
        Yield a connection in a transaction, which commits when the block ends well.

        Raises:
            Unavailable: The server does not do its part; of what was sent nothing is certain.
        """
        with self._translated(), contextlib.ExitStack() as stack:
            connection = self._open()
            try:
                stack.enter_context(connection.transaction())
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                # The server was restarted since the last time: nothing was sent but BEGIN.
                connection = self._open()
                stack.enter_context(connection.transaction())
            yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as exc:
            is_of_a_row = isinstance(exc, _OF_A_ROW)
            raise self._error(describe(exc), is_of_a_row=is_of_a_row) from None

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = postgres.connect(self._parameters)
            except (psycopg.Error, SessionRefused) as exc:
                cause = f"no connection: {why(exc)}; `vitalveil doctor` says more"
                raise self._error(cause) from None
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

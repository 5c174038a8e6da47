"""
Connections to PostgreSQL, and what goes wrong with them.

No text of the server or of the driver passes: it may quote a row.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import conninfo

from runtime.errors import ConfigError
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
    try:
        found: dict[str, Any] = dict(conninfo.conninfo_to_dict(settings.dsn))
    except psycopg.Error:
        raise ConfigError(
            key=f"{section}.dsn",
            source="settings",
            problem="not a connection string",
            mend="Write it as host=... dbname=... user=vv_trust.",
        ) from None
    if "password" in found:
        raise ConfigError(
            key=f"{section}.dsn",
            source="settings",
            problem="it holds a password",
            mend=f"Put the password into a file and name it in {section}.password_file.",
        )
    if settings.password_file is not None:
        try:
            found["password"] = settings.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(
                key=f"{section}.password_file",
                source=str(settings.password_file),
                problem=f"the file cannot be read ({type(exc).__name__})",
                mend="Check the path and its permissions.",
            ) from None
    found.setdefault("connect_timeout", 5)
    found.setdefault("application_name", "vitalveil trust")
    # A server that is gone is noticed within half a minute, not within two hours.
    found.setdefault("keepalives_idle", 10)
    found.setdefault("keepalives_interval", 5)
    found.setdefault("keepalives_count", 3)
    return found


class Link:
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
                # The server was started anew since the last time: nothing was sent but BEGIN.
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
                self._connection = psycopg.connect(**self._parameters, autocommit=True)
            except psycopg.Error as exc:
                cause = f"no connection: {describe(exc)}; `vitalveil doctor` says why"
                raise self._error(cause) from None
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

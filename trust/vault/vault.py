"""The vault database: one transaction at a time, and a listener that notices waiting leases."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import psycopg

from runtime.database import named_sql, postgres
from runtime.errors import SessionRefused
from trust.config import DatabaseSettings
from trust.domain.purposes import Purpose
from trust.errors import VaultUnavailable
from trust.ports import Keys
from trust.vault.database import DatabaseLink, parameters, why
from trust.vault.postgres.records import PostgresRecords
from trust.vault.protocols import Records, Vault

_SECTION: Final = "vault"
_PUBLISHER_LOCK: Final = 0x7676_7075_626C  # "vvpubl"
_SQL: Final = named_sql.read("trust.vault", "leases.sql")
_LOOK_EVERY_S: Final = 0.05
"""
The pause between two queries for waiting leases, in seconds. LISTEN and NOTIFY are not used: while
the server's notification queue is full, NOTIFY makes COMMIT fail (docs/decisions/0018).
"""
_SHARE: Final = 20
"""The pause after a query is at least this many times as long as the query took."""


class PostgresVault(Vault):
    """
    The vault database, as the role `vv_trust`. Not safe to share between threads.

    Args:
        settings: How to connect.

        keys: The keys that seal and sign its records.
    """

    def __init__(self, settings: DatabaseSettings, keys: Keys) -> None:
        self._link = DatabaseLink(settings, section=_SECTION, error=VaultUnavailable)
        self._keys = keys
        self._purposes: dict[tuple[str, int], Purpose] = {}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Records]:
        """
        Yield the records; changes are committed when the block ends without an error.

        Raises:
            VaultUnavailable: The database cannot be used, or refused a row.
        """
        with self._link.transaction() as connection:
            yield PostgresRecords(connection, self._keys, self._purposes)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


class Listener:
    """
    Notices leases that wait to be published, and elects the one process that publishes them.

    The broker keeps one connection for each client id, and all publishers use the same one. So two
    publishers would disconnect each other endlessly.
    """

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._seen: int | None = None

    async def is_publisher(self) -> bool:
        """
        Tell whether this process is the publisher; it remains so until `retire` or the end of
        the connection.

        Raises:
            VaultUnavailable: The connection is lost.
        """
        with _translated():
            cursor = await self._connection.execute(
                "SELECT pg_try_advisory_lock(%s)", [_PUBLISHER_LOCK]
            )
            return await cursor.fetchone() == (True,)

    async def retire(self) -> None:
        """
        Allow another process to become the publisher.

        Raises:
            VaultUnavailable: The connection is lost.
        """
        with _translated():
            await self._connection.execute("SELECT pg_advisory_unlock(%s)", [_PUBLISHER_LOCK])

    async def heard(self, *, timeout_s: float) -> None:
        """
        Wait until the set of waiting leases differs from that of the last call, or *timeout_s*.

        Leases that are still waiting, because the broker or their gateway does not accept them,
        do not end the wait before the time-out; otherwise the caller would retry without a pause.

        Args:
            timeout_s: The longest wait, in seconds.

        Raises:
            VaultUnavailable: The connection is lost, or the server does not answer.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_s
        while True:
            started = clock()
            waiting = await self._waiting()
            is_new = waiting is not None and waiting != self._seen
            if is_new or (left_s := deadline - clock()) <= 0:
                self._seen = waiting
                return
            pause_s = max(_LOOK_EVERY_S, _SHARE * (clock() - started))
            await asyncio.sleep(min(pause_s, left_s))

    async def _waiting(self) -> int | None:
        """Return a number that identifies the set of waiting leases; None if none waits."""
        with _translated():
            cursor = await self._connection.execute(_SQL["waiting"])
            row = await cursor.fetchone()
        return None if row is None or row[0] is None else int(row[0])


@contextlib.asynccontextmanager
async def listen(settings: DatabaseSettings) -> AsyncIterator[Listener]:
    """
    Yield a listener with its own connection, which is closed at the end of the context.

    Raises:
        VaultUnavailable: The database cannot be reached.
    """
    with _translated():
        connection = await postgres.connect_async(parameters(settings, section=_SECTION))
    try:
        yield Listener(connection)
    finally:
        await connection.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, SessionRefused) as exc:
        raise VaultUnavailable(why(exc)) from None

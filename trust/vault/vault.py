"""The vault database: one transaction at a time, and a listener that sees when there is work."""

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
How long between two looks for work. No change is notified: while the server's notification queue
is full, that would have its COMMIT fail (docs/decisions/0018).
"""
_SHARE: Final = 20
"""A look may take this fraction of the time; one that takes long is followed by a longer pause."""


class PostgresVault(Vault):
    """
    The vault database, as the role `vv_trust`. Not safe to share between threads.

    Args:
        settings: Where it is.

        keys: What its records are sealed and signed with.
    """

    def __init__(self, settings: DatabaseSettings, keys: Keys) -> None:
        self._link = DatabaseLink(settings, section=_SECTION, error=VaultUnavailable)
        self._keys = keys
        self._purposes: dict[tuple[str, int], Purpose] = {}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Records]:
        """
        Yield the records; what was done with them is committed when the block ends well.

        Raises:
            VaultUnavailable: The database does not do its part.
        """
        with self._link.transaction() as connection:
            yield PostgresRecords(connection, self._keys, self._purposes)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


class Listener:
    """
    Sees that leases wait to be published, and may be the one process that publishes.

    The broker knows us by one name and keeps one connection under it, so two publishers would
    throw each other out for ever.
    """

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._seen: int | None = None

    async def is_publisher(self) -> bool:
        """
        Tell whether this process is, until it retires or closes, the one that publishes.

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
        Let another process be the one that publishes.

        Raises:
            VaultUnavailable: The connection is lost.
        """
        with _translated():
            await self._connection.execute("SELECT pg_advisory_unlock(%s)", [_PUBLISHER_LOCK])

    async def heard(self, *, timeout_s: float) -> None:
        """
        Return when leases wait that did not wait at the return before, or after *timeout_s*.

        Leases that wait still, because the broker or their gateway does not take them, are left to
        the time-out: they would have the caller try them again without a pause.

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
        """Return a number that is another for each set of leases that wait; None for no lease."""
        with _translated():
            cursor = await self._connection.execute(_SQL["waiting"])
            row = await cursor.fetchone()
        return None if row is None or row[0] is None else int(row[0])


@contextlib.asynccontextmanager
async def listen(settings: DatabaseSettings) -> AsyncIterator[Listener]:
    """
    Yield a listener with a connection of its own, while the context is open.

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

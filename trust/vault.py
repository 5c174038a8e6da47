"""The vault database: one transaction at a time, and a listener that hears when there is work."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import psycopg

from runtime.logs import describe
from trust.config import DatabaseSettings
from trust.database import Link, parameters
from trust.erasure_ledger import Ledger
from trust.errors import VaultUnavailable
from trust.ports import Keys
from trust.purposes import Purpose
from trust.records import Records

_SECTION: Final = "vault"
_PUBLISHER_LOCK: Final = 0x7676_7075_626C  # "vvpubl"


class Vault:
    """
    The vault database, as the role `vv_trust`. Not safe to share between threads.

    Args:
        settings: Where it is.

        keys: What its records are sealed and signed with.
    """

    def __init__(self, settings: DatabaseSettings, keys: Keys) -> None:
        self._link = Link(settings, section=_SECTION, error=VaultUnavailable)
        self._keys = keys
        self._purposes: dict[tuple[str, int], Purpose] = {}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Records]:
        """
        Yield the records; what was done with them is kept when the block ends well.

        Raises:
            VaultUnavailable: The database does not do its part.
        """
        with self._link.transaction() as connection:
            yield Records(connection, self._keys, self._purposes)

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """
        Yield the ledger of erasures; what is noted in it is kept when the block ends well.

        Raises:
            VaultUnavailable: The database does not do its part.
        """
        with self._link.transaction() as connection:
            yield Ledger(connection, self._keys)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


class Listener:
    """
    Hears that leases wait, and may be the one process that publishes.

    The broker knows us by one name and keeps one connection under it, so two publishers would
    throw each other out for ever.
    """

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection

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
        Return when there is something to publish, or after *timeout_s*.

        Raises:
            VaultUnavailable: The connection is lost.
        """
        with _translated():
            async for _ in self._connection.notifies(timeout=timeout_s, stop_after=1):
                pass


@contextlib.asynccontextmanager
async def listen(settings: DatabaseSettings) -> AsyncIterator[Listener]:
    """
    Listen while the context is open.

    Raises:
        VaultUnavailable: The database cannot be reached.
    """
    with _translated():
        connection = await psycopg.AsyncConnection.connect(
            **parameters(settings, section=_SECTION), autocommit=True
        )
    try:
        with _translated():
            await connection.execute("LISTEN vv_trust")
        yield Listener(connection)
    finally:
        await connection.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        raise VaultUnavailable(describe(exc)) from None

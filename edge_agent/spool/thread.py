"""The one thread that uses the connection of a spool."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edge_agent.errors import SpoolError, SpoolFull
from runtime.logs import describe

T = TypeVar("T")


class SpoolThread:
    """Runs work on SQLite in one thread, in the order of the calls, without blocking the loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="spool")

    async def run(self, work: Callable[[], T]) -> T:
        """
        Run *work* after earlier calls. It is done even if the caller is cancelled meanwhile.

        Raises:
            SpoolFull: The disk is full.
            SpoolError: The file cannot be read or written.
        """
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            return await asyncio.shield(future)
        except sqlite3.Error as exc:
            if exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise SpoolFull(f"keep more: {describe(exc)}") from None
            raise SpoolError(f"be read or written: {describe(exc)}") from None

    def close(self) -> None:
        """End the thread after its current call."""
        self._executor.shutdown()

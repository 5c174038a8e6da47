"""The process: the signals that ask it to finish and exit, and the memory that it gives back."""

import asyncio
import contextlib
import ctypes
import signal
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def stop_requested() -> AsyncIterator[asyncio.Event]:
    """Yield an event that is set on the first SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def give_back_memory() -> None:
    """
    Call `malloc_trim` of the C library, which returns free memory to the operating system.

    After reading a million permissions, the free memory is more than the permissions themselves.
    Without `malloc_trim` (only glibc has it), nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

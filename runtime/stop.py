"""Stop signals: SIGTERM and SIGINT ask a process to finish its work and exit."""

import asyncio
import contextlib
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

"""Stop signals."""

import asyncio
import os
import signal

import pytest

from runtime.process import stop_requested


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_asks_to_stop(number: signal.Signals) -> None:
    """Either signal sets the event, and a second one has no effect."""
    async with stop_requested() as stop:
        assert not stop.is_set()
        for _ in range(2):
            os.kill(os.getpid(), number)
            async with asyncio.timeout(5):
                await stop.wait()


async def test_signals_are_given_back() -> None:
    """Afterwards the signals have their earlier handlers."""
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    async with stop_requested():
        pass

    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert after[0] == before[0] == signal.SIG_DFL
    assert callable(after[1])

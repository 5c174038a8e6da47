"""Detection of a hanging event loop."""

import asyncio

from runtime.pulse import Pulse


async def test_loop_that_hangs_is_not_alive() -> None:
    """A loop is alive for a limited time after each beat."""
    now = [100.0]
    pulse = Pulse(limit_s=60.0, now=lambda: now[0])
    now[0] += 59
    assert pulse.is_beating()
    now[0] += 2
    assert not pulse.is_beating()
    beating = asyncio.create_task(pulse.run())
    await asyncio.sleep(0)
    assert pulse.is_beating()
    beating.cancel()
    now[0] += 61
    assert not pulse.is_beating()

"""Errors of the daemon's background work."""

import asyncio

import pytest

from trust.app import alongside


async def _return_at_once() -> None:
    return


async def _fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("nobody foresaw it")


async def _work_for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_failure_of_what_is_kept_ends_the_work() -> None:
    """An unexpected error of background work ends the daemon at once."""
    working = asyncio.create_task(_work_for_ever())
    failing = asyncio.create_task(_fail())

    with pytest.raises(ValueError, match="foresaw"):
        await asyncio.wait_for(alongside(working, [failing]), 30)
    working.cancel()


async def test_what_has_nothing_to_do_ends_nothing() -> None:
    """
    Background work that ends at once, because nothing is configured, does not end the
    daemon.
    """
    begun = asyncio.Event()

    async def work() -> None:
        await begun.wait()

    working = asyncio.create_task(work())
    waiting = asyncio.create_task(alongside(working, [asyncio.create_task(_return_at_once())]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    begun.set()
    await asyncio.wait_for(waiting, 30)

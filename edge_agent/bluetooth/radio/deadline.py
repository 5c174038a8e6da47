"""A time-out that also holds for a call that reacts late to its cancellation."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from edge_agent.bluetooth.errors import CallTimedOut

T = TypeVar("T")

_INSIST_S: Final = 1.0
_INSIST_TIMES: Final = 3


async def within(seconds: float, call: str, work: Coroutine[Any, Any, T]) -> T:
    """
    Return the result of *work*.

    bleak cleans up over D-Bus when it is cancelled. If D-Bus itself hangs, asyncio's own time-out
    would wait for that cleanup for ever. So *work* is cancelled repeatedly, and finally abandoned.

    Args:
        seconds: The longest time that *work* may take.

        call: The name of the call, for the error.

        work: The call.

    Raises:
        CallTimedOut: The call took longer than *seconds*.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _stop(task)
        raise
    if not done:
        await _stop(task)
        raise CallTimedOut(call)
    return task.result()


async def _stop(task: asyncio.Future[Any]) -> None:
    for _ in range(_INSIST_TIMES):
        task.cancel()
        # A second cancellation must not interrupt the cleanup.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=_INSIST_S)
        if task.done():
            break
    if task.done() and not task.cancelled():
        task.exception()  # Retrieved, so that asyncio does not log the text of the error.
    else:
        task.add_done_callback(_look_at)


def _look_at(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()

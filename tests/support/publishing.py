"""Runs trust's lease publisher in a test, and waits for what it writes."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable

from tests.fixtures.vault import Office
from trust.composition import App
from trust.metrics import Metrics
from trust.reconcile.lease_publisher import LeasePublisher
from trust.reconcile.mqtt_broker import MqttBroker
from trust.reconcile.reconciler import Guard, Reconciler


@contextlib.asynccontextmanager
async def publishing(
    office: Office, broker: MqttBroker, *, guard: Guard | None = None
) -> AsyncIterator[None]:
    """Run the lease publisher of *office* while the context is open; *guard* replaces its own."""
    # Connections of its own, because the publisher works in another thread.
    app = App(office.settings)
    reconciler = app.reconciler
    if guard is not None:
        reconciler = Reconciler(reconciler._unguarded, guard)
    publisher = LeasePublisher(
        app.vault,
        reconciler,
        broker,
        listen_to=office.settings.vault,
        metrics=Metrics(),
        repair_after=dt.timedelta(seconds=0.1),
    )
    stop = asyncio.Event()
    working = asyncio.create_task(publisher.run(stop))
    try:
        yield
    finally:
        stop.set()
        await working
        publisher.close()
        app.close()


async def until(condition: Callable[[], bool]) -> None:
    """
    Return when *condition* holds, which depends on a database or a broker.

    Raises:
        TimeoutError: It does not hold within a minute.
    """
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.05)

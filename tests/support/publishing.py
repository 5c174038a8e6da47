"""Runs trust's lease publisher in a test, alone or in the daemon, and waits for what it writes."""

import asyncio
import contextlib
import datetime as dt
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from signal import Signals

from runtime.settings import BrokerSettings
from simulators.stack.child import Child, free_port
from simulators.stack.scrape import is_ready
from simulators.stack.toml import format_toml
from tests.fixtures.vault import Office
from trust.composition import App
from trust.metrics import Metrics
from trust.reconcile.lease_publisher import LeasePublisher
from trust.reconcile.mqtt_broker import MqttBroker
from trust.reconcile.reconciler import Guard, Reconciler

ROOT = Path(__file__).parents[2]


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


@contextlib.contextmanager
def daemon(office: Office, broker: BrokerSettings, **lease: float) -> Iterator[int]:
    """Run `trust run` while the context is open; yield its HTTP port."""
    port = free_port()
    configuration = write_settings(office, broker, port, **lease)
    child = Child(
        "trust",
        [sys.executable, "-m", "vitalveil", "trust", "run", "--config", str(configuration)],
        log=office.folder / "trust.log",
        environ={"PYTHONPATH": str(ROOT)},
    )
    try:
        child.wait_until(lambda: is_ready(port))
        yield port
    finally:
        assert child.stop(number=Signals.SIGTERM) == 0


def write_settings(office: Office, broker: BrokerSettings, port: int, **lease: float) -> Path:
    """Write the settings of *office* as TOML."""
    path = office.folder / "trust.toml"
    settings = office.settings
    path.write_text(
        format_toml(
            {
                "controller": settings.controller,
                "vault": {
                    "dsn": settings.vault.dsn,
                    "password_file": str(settings.vault.password_file),
                },
                "telemetry": {
                    "dsn": settings.telemetry.dsn,
                    "password_file": str(settings.telemetry.password_file),
                },
                "keys": {"folder": settings.keys.folder},
                "lease": {"ttl_s": 3600.0, **lease},
                "repair": {"after_s": 0.1},
                "http": {"port": port},
                "broker": {
                    "port": broker.port,
                    "tls": {
                        "ca_file": broker.tls.ca_file,
                        "certificate_file": broker.tls.certificate_file,
                        "key_file": broker.tls.key_file,
                    },
                },
            }
        )
    )
    return path

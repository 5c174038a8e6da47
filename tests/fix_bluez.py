"""A D-Bus with an org.bluez of our own, where bleak looks for the system's."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from tests.bluez.bluetoothd import Bluetoothd
    from tests.bluez.bus import PrivateBus


class Machine:
    """
    The machine that an agent runs on.

    Args:
        bus: Its D-Bus.

        bluetoothd: On it.
    """

    def __init__(self, bus: PrivateBus, bluetoothd: Bluetoothd) -> None:
        self.bus = bus
        self.bluetoothd = bluetoothd


@pytest_asyncio.fixture
async def machine(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    """A machine whose bluetoothd runs, with no sensor in reach."""
    from tests.bluez.bluetoothd import Bluetoothd
    from tests.bluez.bus import PrivateBus

    bus, bluetoothd = PrivateBus(Path(tempfile.mkdtemp(dir=run_folder))), Bluetoothd()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    bus.start()
    await bluetoothd.start(systemd=True)
    yield Machine(bus, bluetoothd)
    await bluetoothd.kill()
    bus.kill()
    # bleak's connection of this loop notices the end of the bus, and closes.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.Event().wait()

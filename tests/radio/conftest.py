"""A guest machine with a real bluetoothd, and a virtual controller at its kernel."""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.bluez.bus import PrivateBus
from tests.fixtures.folder import run_folder
from tests.radio.machine import RadioMachine, RealBluetoothd

__all__ = ["run_folder"]
"""The one fixture of the other tests that is needed here; the others would import too much."""

PROGRAM = "VITALVEIL_RADIO_BLUETOOTHD"


@pytest_asyncio.fixture
async def machine(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RadioMachine]:
    """A machine whose bluetoothd runs, without an adapter and without a bond."""
    if PROGRAM not in os.environ:
        # On a machine with an adapter a second bluetoothd would compete with the first one.
        pytest.skip("needs a guest with a virtual controller: make test-radio")
    forget_bonds(Path(os.environ["VITALVEIL_RADIO_BONDS"]))
    bus = PrivateBus(Path(tempfile.mkdtemp(dir=run_folder)))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    log = run_folder / "bluetoothd.log"
    libraries = os.environ.get("VITALVEIL_RADIO_LIBRARIES", "")
    bluetoothd = RealBluetoothd(os.environ[PROGRAM], libraries, log)
    bus.start()
    bluetoothd.start()
    yield RadioMachine(bus, bluetoothd)
    bluetoothd.kill()
    bus.kill()
    # bleak's connection of this loop notices the end of the bus, and closes.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await asyncio.Event().wait()
    if log.exists():
        sys.stdout.write(log.read_text())  # Shown when the test fails.
        log.unlink()


def forget_bonds(folder: Path) -> None:
    """Empty *folder*, in which the guest's bluetoothd stores its bonds."""
    shutil.rmtree(folder)
    folder.mkdir()


class Figures:
    """The times that a test has measured, in a file that outlives the guest."""

    def __init__(self, test: str) -> None:
        self._test = test
        self._began = time.monotonic()

    def note(self, what: str, seconds: float) -> None:
        """Record that *what* took *seconds*."""
        line = f"{self._test}: {what} {seconds:.1f} s\n"
        sys.stdout.write(line)
        folder = os.environ.get("VITALVEIL_RADIO_OUT")
        if folder is not None:
            with Path(folder, "figures.txt").open("a") as file:
                file.write(line)

    def lap(self, what: str) -> None:
        """Record how long after the start of the test *what* has happened."""
        self.note(what, time.monotonic() - self._began)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """The file in which a test records how long things took."""
    return Figures(request.node.name)

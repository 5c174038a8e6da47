"""A machine with a real bluetoothd, whose adapter is a virtual controller that hears sensors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from edge_agent.bluetooth.errors import StackError
from edge_agent.bluetooth.radio.bluez import BluezHost
from simulators.sensor import show
from simulators.sensor.device.peripheral import Peripheral
from simulators.sensor.options import SensorKind
from simulators.sensor.sensor_factory import AssignedSensor
from simulators.stack.child import Child
from tests.bluez.bus import PrivateBus

_READY_S: Final = 120.0


class RealBluetoothd:
    """
    BlueZ, as Debian ships it.

    Args:
        program: The path of bluetoothd.

        libraries: Folders of its libraries, as for LD_LIBRARY_PATH.

        log: The file to which its output is appended.
    """

    def __init__(self, program: str, libraries: str, log: Path) -> None:
        self._program = program
        self._environ = {"LD_LIBRARY_PATH": libraries}
        self._log = log
        self._child: Child | None = None

    def start(self) -> None:
        """Start bluetoothd; return when its name is on the bus."""
        # In the foreground, as systemd runs it.
        command = [self._program, "--nodetach"]
        self._child = Child("bluetoothd", command, log=self._log, environ=self._environ)

    @property
    def is_alive(self) -> bool:
        """Whether bluetoothd runs."""
        return self._child is not None and self._child.exit_code is None

    def kill(self) -> None:
        """Kill bluetoothd with SIGKILL."""
        if self._child is not None:
            self._child.kill()
            self._child = None


class RadioMachine:
    """
    The machine that an agent runs on.

    Args:
        bus: The D-Bus of the machine.

        bluetoothd: Its Bluetooth daemon.
    """

    def __init__(self, bus: PrivateBus, bluetoothd: RealBluetoothd) -> None:
        self.bus = bus
        self.bluetoothd = bluetoothd
        self._adapter = contextlib.AsyncExitStack()

    async def plug_in(self, *sensors: Peripheral) -> None:
        """Give the kernel an adapter that hears *sensors*, and switch these on."""
        worn = [
            AssignedSensor("somebody", "invented", SensorKind.STRAP, sensor) for sensor in sensors
        ]
        on = show.on_controller(worn, "vhci")
        self.lost = await self._adapter.enter_async_context(on)

    async def ready(self) -> None:
        """Wait until bluetoothd has an adapter, and switch it on as a person does."""
        async with asyncio.timeout(_READY_S):
            while True:
                try:
                    await BluezHost().power_on()
                except StackError:
                    await asyncio.sleep(0.5)
                else:
                    return

    async def pull(self) -> None:
        """Remove the adapter, and switch its sensors off."""
        await self._adapter.aclose()

    @contextlib.asynccontextmanager
    async def hearing(self, *sensors: Peripheral) -> AsyncIterator[None]:
        """Have an adapter that hears *sensors* while the context is open."""
        await self.plug_in(*sensors)
        try:
            yield
        finally:
            await self.pull()

"""
Scans for the sensors that the lease names; all other devices are only counted.

A radio cannot scan and connect well at the same time. So they alternate: a scan ends when an
awaited sensor is heard, and starts again when that sensor is connected.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

import msgspec
from bleak import BleakAdapter, BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from edge_agent.bluetooth.errors import BluetoothError, LinkError, StackError
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.deadline import within
from edge_agent.bluetooth.radio.error_translation import FAILURES, translate
from edge_agent.bluetooth.radio.escalation import FailureKind
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.bluetooth.radio.recovery import Host, Recovery
from runtime.backoff import Backoff

START_S: Final = 10.0
STOP_S: Final = 5.0


class ScanTiming(msgspec.Struct, frozen=True):
    """How long to scan and to pause, because Wi-Fi and connections share the antenna."""

    window_s: float = 8.0
    """
    How long one scan lasts, in seconds. bleak remembers all devices heard until its end.

    Less than ten seconds, after which the kernel restarts a scan: BlueZ before 5.88 loses track of
    its scan if it is told to stop at that moment.
    """
    rest_s: float = 4.0
    """The pause between two scans while no new sensor is awaited, in seconds."""


class FoundSensor(msgspec.Struct, frozen=True):
    """A sensor that was heard and can be connected."""

    device: BLEDevice
    is_connected: bool
    """Whether the host has a connection to it already, from another process."""


Hear = Callable[[BLEDevice, AdvertisementData], None]
_SERVICES: Final = ["1808", "1809", "180d", "1810", "181d", "181f", "1822"]


class Scanner:
    """
    Finds sensors for the tasks that want to connect to them.

    Args:
        radio: The adapter to use.

        host: Knows which devices are connected.

        metrics: Counts advertisements.

        backoff: Pauses after failed scans.

        rhythm: How long to scan, and to pause.
    """

    def __init__(
        self,
        *,
        radio: Radio,
        host: Host,
        metrics: RadioMetrics,
        backoff: Backoff,
        rhythm: ScanTiming,
    ) -> None:
        self._radio = radio
        self._host = host
        self._metrics = metrics
        self._backoff = backoff
        self._timing = rhythm
        self._bound: frozenset[str] = frozenset()
        self._wanted: dict[str, asyncio.Future[FoundSensor]] = {}
        self._asked = asyncio.Event()
        self._over = asyncio.Event()
        self._connecting: set[str] = set()
        self._calm = asyncio.Event()
        self._calm.set()
        self._turn = asyncio.Lock()
        self._heard = 0

    def bind(self, sensors: Collection[str]) -> None:
        """Count *sensors* as bound, and all others as strangers."""
        self._bound = frozenset(sensors)

    def renew(self) -> None:
        """Stop the current scan, and start a new one."""
        self._over.set()

    @contextlib.asynccontextmanager
    async def found(self, sensor: str) -> AsyncIterator[FoundSensor]:
        """Yield *sensor* as soon as it is heard. While the context is open, no scan runs."""
        sensor = sensor.upper()
        heard: asyncio.Future[FoundSensor] = asyncio.get_running_loop().create_future()
        self._wanted[sensor] = heard
        self._asked.set()
        # The running scan may have heard it already, and would not report it again.
        self._over.set()
        try:
            found = await heard
            async with self._turn:
                yield found
        finally:
            if self._wanted.get(sensor) is heard:
                del self._wanted[sensor]
            if not self._wanted:
                self._asked.clear()
            self._connecting.discard(sensor)
            if not self._connecting:
                self._calm.set()

    async def run(self, recovery: Recovery) -> None:
        """
        Scan as long as a task waits for a sensor.

        Raises:
            GaveUp: The radio cannot be recovered.
        """
        while True:
            await self._asked.wait()
            await self._calm.wait()
            try:
                await self._scan(recovery)
            except BluetoothError as exc:
                await recovery.failed(_as_stack(exc))
                await recovery.pause(self._backoff.failed())
            else:
                self._backoff.succeeded()
                recovery.worked(FailureKind.STACK)

    async def _scan(self, recovery: Recovery) -> None:
        self._over.clear()
        self._heard = 0
        await self._look_at_connected()
        if self._over.is_set():
            return
        async with listening(self._hear, self._radio):
            is_over = await self._until_over(self._timing.window_s)
        if self._heard:
            recovery.worked(FailureKind.DEAF)
        elif not is_over:
            await recovery.climb(FailureKind.DEAF)
        if not is_over:
            await self._until_over(self._timing.rest_s)

    async def _until_over(self, seconds: float) -> bool:
        """Wait at most *seconds*; tell whether the wait was ended early."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
        return self._over.is_set()

    async def _look_at_connected(self) -> None:
        """
        Find sensors that are connected already, and so do not advertise.

        BlueZ keeps a connection when the process that made it was killed. bleak lists it, but also
        the connections of a bluetoothd that has died. So the host is asked first.
        """
        connected = await self._host.connected()
        if not connected:
            return
        try:
            async with asyncio.timeout(START_S):
                adapter = await BleakAdapter.get(
                    bluez={} if self._radio.adapter is None else {"adapter": self._radio.adapter}
                )
                devices = await adapter.get_connected_devices(_SERVICES)
        except FAILURES as exc:
            raise translate(exc, "scanning") from None
        for device in devices:
            if device.address.upper() in connected:
                self._give(device, is_connected=True)

    def _hear(self, device: BLEDevice, _: AdvertisementData) -> None:
        self._heard += 1
        self._metrics.heard(bound=device.address.upper() in self._bound)
        self._give(device, is_connected=False)

    def _give(self, device: BLEDevice, *, is_connected: bool) -> None:
        address = device.address.upper()
        wanted = self._wanted.get(address)
        if wanted is None or wanted.done():
            return
        self._connecting.add(address)
        self._calm.clear()
        wanted.set_result(FoundSensor(device, is_connected))
        self._over.set()


async def find(sensor: str, radio: Radio) -> BLEDevice:
    """
    Return *sensor* as soon as it is heard, for a command that uses the radio alone.

    Raises:
        BluetoothError: The radio cannot scan.
    """
    heard: asyncio.Future[BLEDevice] = asyncio.get_running_loop().create_future()

    def hear(device: BLEDevice, _: AdvertisementData) -> None:
        if device.address.upper() == sensor.upper() and not heard.done():
            heard.set_result(device)

    async with listening(hear, radio):
        return await heard


@contextlib.asynccontextmanager
async def listening(hear: Hear, radio: Radio) -> AsyncIterator[None]:
    """
    Call *hear* for each advertisement while the context is open.

    Raises:
        BluetoothError: The radio cannot scan.
    """
    scanner = BleakScanner(hear, bluez=_adapter(radio), backend=radio.scanner_type)
    try:
        await within(START_S, "scanning", scanner.start())
    except FAILURES as exc:
        raise translate(exc, "scanning") from None
    try:
        yield
    finally:
        await _stop(scanner)


def _adapter(radio: Radio) -> BlueZScannerArgs:
    return {} if radio.adapter is None else {"adapter": radio.adapter}


async def _stop(scanner: BleakScanner) -> None:
    """Stop a scan. If that fails, the next scan fails as well and is handled there."""
    with contextlib.suppress(BluetoothError, *FAILURES):
        await within(STOP_S, "scanning", scanner.stop())


def _as_stack(error: BluetoothError) -> BluetoothError:
    """Return *error* as a failure of the host, because scanning involves no sensor."""
    return StackError("scanning failed") if isinstance(error, LinkError) else error

"""
A Bluetooth peripheral: advertises, accepts connections, and runs what its kind of
sensor does.
"""

import abc
import asyncio
import collections
import contextlib
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Final

import msgspec
from bumble.core import BaseBumbleError
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.hci import Address
from bumble.keys import PairingKeys
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import TransportSink, TransportSource

from edge_agent.gatt import battery
from edge_agent.gatt.battery import BatteryLevel
from simulators.sensor.device.attributes import Characteristic, Service
from simulators.sensor.device.faults import FaultKind, Faults
from simulators.sensor.device.gatt_server import GattServer, advertisement
from simulators.sensor.device.link import SensorCounters, SensorLink, new_wire
from simulators.sensor.device.virtual_radio import RadioMedium, VirtualRadio

_ADVERTISED_EACH_MS: Final = 30
_MAX_ATTRIBUTE_BYTES: Final = 512
_FULL_BATTERY_PERCENT: Final = 87
_CATCHES_UP_S: Final = 0.1
_FAREWELL_S: Final = 2.0


class Security(msgspec.Struct, frozen=True):
    """The pairing that a sensor requires before it shows its values."""

    passkey: int | None = None
    """The passkey that its display shows; None for a sensor without a display."""


class _Delegate(PairingDelegate):
    """A display that shows a passkey, or no display."""

    def __init__(self, passkey: int | None) -> None:
        shows = PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY
        has_nothing = PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT
        super().__init__(has_nothing if passkey is None else shows)
        self._passkey = passkey

    async def generate_passkey(self) -> int:
        return self._passkey or 0


class Peripheral(abc.ABC):
    """
    A sensor on the air; the base class of all kinds of sensors.

    A kind of sensor derives from it, and defines what it serves (`services`) and what it does by
    itself while it is on (`run`).

    Args:
        address: A static random address, `C0:..` to `FF:..`.

        name: The advertised name; any text.

        faults: The faults that it shows.

        security: The pairing that it requires before it shows its values; None for no pairing.
    """

    advertised: tuple[int, ...] = ()
    """The services that it advertises."""

    def __init__(
        self,
        address: str,
        *,
        name: str,
        faults: Faults | None = None,
        security: Security | None = None,
    ) -> None:
        self.address = address.upper()
        self.name = name
        self.battery_percent = _FULL_BATTERY_PERCENT
        self.is_secret = security is not None
        self.links: list[SensorLink] = []
        self._wire = new_wire(faults)
        self._passkey = security.passkey if security is not None else None
        self._connections: dict[Connection, SensorLink] = {}
        self._trusted: set[str] = set()
        self._device: Device | None = None
        self._place: tuple[RadioMedium, VirtualRadio] | None = None
        self._in_reach = False
        self._due = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._life: asyncio.Task[None] | None = None
        self._advertising: asyncio.Task[None] | None = None
        self._radio_turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def faults(self) -> Faults:
        """The faults of the sensor; may be changed at any time."""
        return self._wire.faults

    @property
    def books(self) -> SensorCounters:
        """The counters of the sensor."""
        return self._wire.books

    @property
    def sent(self) -> "collections.deque[bytes]":
        """The values that were sent, in their order."""
        return self._wire.sent

    @abc.abstractmethod
    def services(self) -> Sequence[Service]:
        """Return the services of the sensor, beside its battery level."""

    @abc.abstractmethod
    async def run(self) -> None:
        """Do what the sensor does by itself; cancelled when the sensor is switched off."""

    async def switch_on(self, air: RadioMedium) -> None:
        """Begin to advertise in *air*."""
        radio = air.radio(self.address)
        self._gone.clear()
        self._place = air, radio
        await self.switch_on_at(radio, radio)

    async def switch_on_at(self, source: TransportSource, sink: TransportSink) -> None:
        """Begin to advertise through the controller behind *source* and *sink*."""
        device = Device.from_config_with_hci(self._configuration(), source, sink)
        device.pairing_config_factory = lambda _: PairingConfig(
            mitm=self._passkey is not None, delegate=_Delegate(self._passkey)
        )
        server = GattServer(
            device,
            link_of=self._connections.get,
            changed=self._changed.set,
            answer=self._answer,
            trusts=self._trusts,
        )
        for service in (*self.services(), self._battery()):
            server.serve(service)
        device.on(Device.EVENT_CONNECTION, partial(self._on_connection, server))
        self._device = device
        await device.power_on()
        await self.appear()
        self._life = self.spawn(self.run(), "run")

    async def switch_off(self) -> None:
        """Stop at once, as with an empty battery; errors of the sensor's tasks are raised here."""
        self._in_reach = False
        self._gone.set()
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        # A dongle that was pulled out does not answer any more.
        with contextlib.suppress(TimeoutError, BaseBumbleError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._say_farewell()
        if self._place is not None:
            air, radio = self._place
            air.remove(radio)
        self._device = self._place = None
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _say_farewell(self) -> None:
        await self.drop()
        if self._device is not None:
            await self._device.power_off()

    async def drop(self) -> None:
        """Break every connection from the sensor's side, and continue to advertise."""
        for link in list(self.links):
            await link.drop()

    async def hide(self) -> None:
        """Go out of reach: no connections and no advertising until `appear`."""
        self._in_reach = False
        await self.drop()
        await self._advertise()

    async def appear(self) -> None:
        """Come into reach again."""
        self._in_reach = True
        await self._advertise()

    async def _advertise(self) -> None:
        """Start or stop advertising, as the state of the sensor requires at that moment."""
        device = self._on()
        async with self._radio_turn:
            if self._in_reach:
                await device.start_advertising()
            else:
                await device.stop_advertising()

    async def forget_bonds(self) -> None:
        """Delete all bonds, as after a change of the battery."""
        self._trusted.clear()
        keystore = self._on().keystore
        if keystore is not None:
            await keystore.delete_all()

    def spawn(self, work: Coroutine[object, object, None], what: str) -> asyncio.Task[None]:
        """
        Run *work* until it ends or the sensor is switched off.

        `switch_off` raises the error of a failed *work*; *what* names the task in that error.
        """
        task = asyncio.create_task(work, name=f"sensor {what}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def tell(self, link: SensorLink, number: int, value: bytes) -> None:
        """Indicate *value* of characteristic *number* as soon as the write is answered."""
        link.bind(self.spawn(link.indicate(number, value), "answer"))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    async def subscribers(self, number: int) -> list[SensorLink]:
        """Wait for centrals that subscribed to characteristic *number*; return them."""
        while not (links := [link for link in self.links if link.subscribed(number)]):
            self._changed.clear()
            await self._changed.wait()
        return links

    async def pace(self, usual_s: float) -> None:
        """
        Wait until the next value is due: *usual_s* after the last one, or sooner
        during a flood.
        """
        flood = self.faults.find(FaultKind.FLOOD, self.books.values + 1)
        now = asyncio.get_running_loop().time()
        # Counted from when the value was due, not from when it was sent; otherwise late wake-ups
        # would slow a flood.
        due = self._due + (usual_s if flood is None else 1 / flood.number)
        self._due = due if due > now - _CATCHES_UP_S else now
        await asyncio.sleep(max(0.0, self._due - now))

    def _on(self) -> Device:
        if self._device is None:
            raise RuntimeError("The sensor is not switched on.")
        return self._device

    def _configuration(self) -> DeviceConfiguration:
        return DeviceConfiguration(
            name=self.name,
            address=Address(self.address),
            advertising_interval_min=_ADVERTISED_EACH_MS,
            advertising_interval_max=_ADVERTISED_EACH_MS,
            advertising_data=advertisement(self.name, self.advertised),
            io_capability=_Delegate(self._passkey).io_capability,
        )

    def _battery(self) -> Service:
        level = Characteristic(
            number=0x2A19,
            read=lambda: battery.encode(BatteryLevel(self.battery_percent)),
            notifies=True,
        )
        return Service(0x180F, (level,))

    async def _answer(self, value: bytes) -> bytes:
        self.books.reads += 1
        if self.faults.strikes(FaultKind.DEAF, self.books.reads):
            await self._gone.wait()
        if self.faults.strikes(FaultKind.OVERSIZED, self.books.values + 1):
            return value.ljust(_MAX_ATTRIBUTE_BYTES, b"\xff")
        return value

    def _on_connection(self, server: GattServer, connection: Connection) -> None:
        link = SensorLink(connection, server, self._wire)
        self.links.append(link)
        self._connections[connection] = link
        self.books.connections += 1
        connection.on(connection.EVENT_DISCONNECTION, lambda _: self._on_disconnection(connection))
        connection.on(connection.EVENT_PAIRING, partial(self._on_pairing, connection))

    def _on_pairing(self, connection: Connection, keys: PairingKeys) -> None:
        if self._passkey is None or (keys.ltk is not None and keys.ltk.authenticated):
            self._trusted.add(str(connection.peer_address))

    def _trusts(self, connection: Connection) -> bool:
        # Bumble accepts a link that is encrypted in place of one whose passkey was typed.
        return bool(connection.encryption) and str(connection.peer_address) in self._trusted

    def _on_disconnection(self, connection: Connection) -> None:
        link = self._connections.pop(connection)
        self.links.remove(link)
        link.lost()
        self._changed.set()
        if self._in_reach:
            self._advertising = self.spawn(self._advertise(), "advertise")

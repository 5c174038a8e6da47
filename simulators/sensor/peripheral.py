"""A Bluetooth peripheral: advertises, is connected to, serves characteristics, and fails."""

import asyncio
import collections
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

import msgspec
from bumble import att, data_types
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData, DataType
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic as GattCharacteristic
from bumble.gatt import CharacteristicValue
from bumble.gatt import Service as GattService
from bumble.hci import Address
from bumble.pairing import PairingConfig, PairingDelegate

from edge_agent.gatt import battery
from edge_agent.gatt.battery import BatteryLevel
from simulators.sensor.air import Air
from simulators.sensor.faults import Faults, Kind

_ADVERTISED_EACH_MS: Final = 30
_LINGER_S: Final = 0.05
"""What is sent just before a link drops may be lost by the receiver's host; this lets it pass."""
_MAX_KEPT: Final = 100_000
_MAX_ATTRIBUTE_BYTES: Final = 512
_P: Final = GattCharacteristic.Properties
_A: Final = att.Attribute.Permissions


class Refused(Exception):
    """A sensor refuses a read or a write with an error code of ATT."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ATT error 0x{code:02X}")
        self.code = code


class Link:
    """A connection to a central, as the sensor sees it."""

    def __init__(self, peripheral: "Peripheral", connection: Connection) -> None:
        self._peripheral = peripheral
        self._connection = connection
        self.is_up = True
        self.procedure: asyncio.Task[None] | None = None
        """What the central asked for and what is still under way."""

    @property
    def is_encrypted(self) -> bool:
        """Whether the central has paired."""
        return bool(self._connection.encryption)

    def subscribed(self, number: int) -> bool:
        """Tell whether the central wants to be told of characteristic *number*."""
        return self.is_up and self._peripheral.cccd(self._connection, number) != 0

    async def notify(self, number: int, value: bytes) -> None:
        """Send *value* of characteristic *number*; nothing happens if nobody subscribed."""
        await self._peripheral.notify(self._connection, number, value)

    async def indicate(self, number: int, value: bytes) -> None:
        """Send *value* of characteristic *number* and wait until the central confirms."""
        await self._peripheral.indicate(self._connection, number, value)

    async def send(self, number: int, value: bytes) -> bool:
        """Send *value* with the faults that are due; tell whether the link is still up."""
        return await self._peripheral.send_with_faults(self, number, value)

    async def drop(self) -> None:
        """Break the connection from the sensor's side."""
        if self.is_up:
            with contextlib.suppress(asyncio.CancelledError):
                await self._connection.disconnect()

    @property
    def room_bytes(self) -> int:
        """How long a notification may be."""
        return int(self._connection.att_mtu) - 3


class Characteristic(msgspec.Struct, frozen=True, kw_only=True):
    """A characteristic that a sensor serves."""

    number: int
    """Its assigned number of 16 bits."""
    read: Callable[[], bytes] | None = None
    write: Callable[[Link, bytes], None] | None = None
    """May raise `Refused`."""
    notifies: bool = False
    indicates: bool = False
    is_secret: bool = False
    """Only a central that has paired may read and write it."""


class Service(msgspec.Struct, frozen=True):
    """A service that a sensor serves."""

    number: int
    characteristics: tuple[Characteristic, ...]


class Books(msgspec.Struct):
    """What a sensor has done."""

    connections: int = 0
    values: int = 0
    """That were due to be sent, faults included."""
    notifications: int = 0
    """That were put on the air; repeated ones count again."""
    requests: int = 0
    """For stored records."""
    drops: int = 0


class _Delegate(PairingDelegate):
    """A display that shows a passkey, or nothing to show it on."""

    def __init__(self, passkey: int | None) -> None:
        shows = PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY
        has_nothing = PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT
        super().__init__(has_nothing if passkey is None else shows)
        self._passkey = passkey

    async def generate_passkey(self) -> int:
        return self._passkey or 0


class Peripheral:
    """
    A sensor on the air.

    A kind of sensor derives from it and says what it serves (`services`) and what it does while
    it is on (`run`). `sent` holds the values that were put on the air, in their order.

    Args:
        address: A static random address, `C0:..` to `FF:..`.

        name: What it calls itself; any text.

        faults: What it does wrong.

        passkey: What its display shows to whoever pairs; None for a sensor without a display.

        secret: Whether its data are only for a central that has paired.
    """

    advertised: tuple[int, ...] = ()
    """The services that it advertises."""

    def __init__(
        self,
        address: str,
        *,
        name: str,
        faults: Faults | None = None,
        passkey: int | None = None,
        secret: bool = False,
    ) -> None:
        self.address = address.upper()
        self.name = name
        self.faults = faults or Faults()
        self.is_secret = secret or passkey is not None
        self.battery_percent = 87
        self.books = Books()
        self.sent: collections.deque[bytes] = collections.deque(maxlen=_MAX_KEPT)
        self.links: list[Link] = []
        self._passkey = passkey
        self._served: dict[int, GattCharacteristic[bytes]] = {}
        self._device: Device | None = None
        self._radio: Controller | None = None
        self._air: Air | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._life: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def services(self) -> Sequence[Service]:
        """Return what it serves."""
        raise NotImplementedError

    async def run(self) -> None:
        """Do what the sensor does by itself; it is cancelled when the sensor is switched off."""

    async def switch_on(self, air: Air) -> None:
        """Begin to advertise in *air*."""
        radio = air.radio(self.address)
        self._air, self._radio = air, radio
        await self._start(Device.from_config_with_hci(self._configuration(), radio, radio))

    async def _start(self, device: Device) -> None:
        self._device = device
        device.pairing_config_factory = lambda _: PairingConfig(
            mitm=self._passkey is not None, delegate=_Delegate(self._passkey)
        )
        for service in (*self.services(), self._battery()):
            device.add_service(self._serve(service))
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        await device.power_on()
        await device.start_advertising(auto_restart=True)
        self._life = self.spawn(self.run())

    async def switch_off(self) -> None:
        """Be gone at once, as with an empty battery; whatever went wrong inside is raised."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for link in list(self.links):
            await link.drop()
        if self._device is not None:
            await self._device.power_off()
        if self._air is not None and self._radio is not None:
            self._air.remove(self._radio)
        self._device = self._radio = self._air = None
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def drop(self) -> None:
        """Break every connection from the sensor's side, and go on advertising."""
        for link in list(self.links):
            self.books.drops += 1
            await link.drop()

    async def hide(self) -> None:
        """Go out of reach: no connection, no advertising, until `appear`."""
        await self._on_air().stop_advertising()
        await self.drop()

    async def appear(self) -> None:
        """Come back into reach."""
        await self._on_air().start_advertising(auto_restart=True)

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run *work* until it ends or the sensor is switched off."""
        task = asyncio.create_task(work, name=f"sensor {self.name!r}")
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        # One that failed stays, so that `switch_off` raises what it died of.
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    async def subscribed(self, number: int) -> list[Link]:
        """Wait for centrals that want to be told of characteristic *number*; return them."""
        while not (links := [link for link in self.links if link.subscribed(number)]):
            self._changed.clear()
            await self._changed.wait()
        return links

    async def send_with_faults(self, link: Link, number: int, value: bytes) -> bool:
        """Send *value* to *link* as `Link.send` promises."""
        self.books.values += 1
        place = self.books.values
        if self.faults.strikes(Kind.DROP, place):
            await asyncio.sleep(_LINGER_S)
            self.books.drops += 1
            await link.drop()
            return False
        if not self.faults.strikes(Kind.SILENCE, place):
            value = self._spoil(value, place, link.room_bytes)
            repeat = self.faults.find(Kind.REPEAT, place)
            for _ in range(repeat.number if repeat is not None else 1):
                await link.notify(number, value)
        return link.is_up

    def _spoil(self, value: bytes, place: int, room_bytes: int) -> bytes:
        if self.faults.strikes(Kind.MALFORMED, place):
            value = value[: len(value) // 2]
        if value and self.faults.strikes(Kind.WRONG_CRC, place):
            value = value[:-1] + bytes((value[-1] ^ 0xFF,))
        if self.faults.strikes(Kind.OVERSIZED, place):
            value = value.ljust(room_bytes, b"\xff")
        return value

    def pause_s(self, usual_s: float) -> float:
        """Return how long to wait before the next value, which is *usual_s* but in a flood."""
        flood = self.faults.find(Kind.FLOOD, self.books.values + 1)
        return usual_s if flood is None else 1 / flood.number

    def cccd(self, connection: Connection, number: int) -> int:
        """Return what *connection* wrote to configure characteristic *number*."""
        subscribed = self._on_air().gatt_server.subscribers.get(connection, {})
        return int.from_bytes(subscribed.get(self._served[number].handle, b""), "little")

    async def notify(self, connection: Connection, number: int, value: bytes) -> None:
        """Notify *connection* of *value*, as `Link.notify` promises."""
        if not self.cccd(connection, number):
            return
        self.sent.append(value)
        self.books.notifications += 1
        await self._on_air().notify_subscriber(connection, self._served[number], value)

    async def indicate(self, connection: Connection, number: int, value: bytes) -> None:
        """Indicate *value* to *connection*, as `Link.indicate` promises."""
        await self._on_air().indicate_subscriber(connection, self._served[number], value)

    def _on_air(self) -> Device:
        if self._device is None:
            raise RuntimeError("the sensor is not switched on")
        return self._device

    def _configuration(self) -> DeviceConfiguration:
        return DeviceConfiguration(
            name=self.name,
            address=Address(self.address),
            advertising_interval_min=_ADVERTISED_EACH_MS,
            advertising_interval_max=_ADVERTISED_EACH_MS,
            advertising_data=_advertisement(self.name, self.advertised),
            io_capability=_Delegate(self._passkey).io_capability,
        )

    def _on_connection(self, connection: Connection) -> None:
        link = Link(self, connection)
        self.links.append(link)
        self.books.connections += 1
        connection.on(connection.EVENT_DISCONNECTION, lambda _: self._on_disconnection(link))

    def _on_disconnection(self, link: Link) -> None:
        link.is_up = False
        self.links.remove(link)
        if link.procedure is not None:
            link.procedure.cancel()
        self._changed.set()

    def _battery(self) -> Service:
        level = Characteristic(
            number=0x2A19,
            read=lambda: battery.encode(BatteryLevel(self.battery_percent)),
            notifies=True,
        )
        return Service(0x180F, (level,))

    def _serve(self, service: Service) -> GattService:
        return GattService(
            UUID.from_16_bits(service.number),
            [self._serve_one(characteristic) for characteristic in service.characteristics],
        )

    def _serve_one(self, characteristic: Characteristic) -> GattCharacteristic[bytes]:
        properties, permissions = _P(0), _A(0)
        read, write = characteristic.read, characteristic.write
        locked = characteristic.is_secret
        if read is not None:
            properties |= _P.READ
            permissions |= _A.READABLE | (_A.READ_REQUIRES_ENCRYPTION if locked else _A(0))
        if write is not None:
            properties |= _P.WRITE
            permissions |= _A.WRITEABLE | (_A.WRITE_REQUIRES_ENCRYPTION if locked else _A(0))
        properties |= _P.NOTIFY if characteristic.notifies else _P(0)
        properties |= _P.INDICATE if characteristic.indicates else _P(0)
        served: GattCharacteristic[bytes] = GattCharacteristic(
            UUID.from_16_bits(characteristic.number),
            properties,
            permissions,
            CharacteristicValue(
                read=lambda _: self._read(read), write=lambda c, v: self._write(write, c, v)
            ),
        )
        served.on(served.EVENT_SUBSCRIPTION, lambda *_: self._changed.set())
        self._served[characteristic.number] = served
        return served

    def _read(self, read: Callable[[], bytes] | None) -> bytes:
        value = read() if read is not None else b""
        if self.faults.strikes(Kind.OVERSIZED, self.books.values + 1):
            return value.ljust(_MAX_ATTRIBUTE_BYTES, b"\xff")
        return value

    def _write(
        self,
        write: Callable[[Link, bytes], None] | None,
        connection: Connection,
        value: bytes,
    ) -> None:
        link = next((link for link in self.links if link._connection is connection), None)
        if write is None or link is None:
            raise att.ATT_Error(att.ATT_WRITE_NOT_PERMITTED_ERROR)
        try:
            write(link, bytes(value))
        except Refused as refused:
            raise att.ATT_Error(att.ErrorCode(refused.code)) from refused


def _advertisement(name: str, services: Sequence[int]) -> bytes:
    """Return what a sensor advertises; a name that is too long for it is cut off."""
    flags = (
        AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE
        | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
    )
    parts: list[DataType] = [data_types.Flags(flags)]
    if services:
        uuids = [UUID.from_16_bits(number) for number in services]
        parts.append(data_types.CompleteListOf16BitServiceUUIDs(uuids))
    head = bytes(AdvertisingData(parts))
    room = 31 - len(head) - 2
    cut = name.encode()[:room].decode(errors="ignore")
    return bytes(AdvertisingData([*parts, data_types.CompleteLocalName(cut)]))

"""
The D-Bus objects of a sensor in the simulated org.bluez: device, services and
characteristics.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from dbus_fast import Variant

from edge_agent.gatt.registry import uuid_of

if TYPE_CHECKING:
    from tests.bluez.bluetoothd import Bluetoothd

Interfaces = dict[str, dict[str, Variant]]
DEVICE = "org.bluez.Device1"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
UNLIKELY_ERROR = 0x0E


class Refused(Exception):
    """A sensor answers a write with an ATT error."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Characteristic:
    """
    A characteristic of a sensor.

    Args:
        number: The assigned number.

        flags: The flags in BlueZ' words: read, write, notify, indicate.

        value: The result of a read.

        on_write: The effect of a write; may raise Refused.
    """

    def __init__(
        self,
        number: int,
        *flags: str,
        value: bytes = b"",
        on_write: Callable[[bytes], None] | None = None,
    ) -> None:
        self.number = number
        self.flags = flags
        self.value = value
        self.on_write = on_write
        self.path = ""
        self.owners: list[str] = []
        """
        The bus names of the clients that subscribed: BlueZ keeps each until the client
        is gone.
        """
        self.pipe: socket.socket | None = None

    def properties(self, service: str) -> Interfaces:
        """Return the properties of the characteristic as BlueZ shows them."""
        return {
            CHARACTERISTIC: {
                "UUID": Variant("s", uuid_of(self.number)),
                "Service": Variant("o", service),
                "Value": Variant("ay", b""),
                "Notifying": Variant("b", bool(self.owners)),
                "Flags": Variant("as", list(self.flags)),
                "MTU": Variant("q", 247),
                "NotifyAcquired": Variant("b", self.pipe is not None),
            }
        }


class FakeSensor:
    """
    A sensor, seen by one org.bluez.

    Args:
        address: The address of the sensor.

        name: The advertised name.

        services: The services, each with its assigned number.
    """

    def __init__(
        self,
        address: str,
        services: Sequence[tuple[int, Sequence[Characteristic]]],
        *,
        name: str = "Sensor",
    ) -> None:
        self.address = address
        self.name = name
        self.services = services
        self.path = ""
        self.is_hidden = False
        self.is_known = False
        self.is_connected = False
        self.is_paired = False
        self.connect_error: str | None = None
        """The error with which the next connection fails."""
        self.hangs = False
        """Whether reads never return."""
        self.deaf_s: float | None = None
        """
        After this many seconds BlueZ answers an unanswered read with an error, and ends
        the link.
        """
        self.has_forgotten = False
        """Whether the sensor has lost its bond."""
        self.needs_pairing = False
        self.connections = 0
        self.on_connect: Callable[[], None] | None = None
        self.sent = 0
        self.stack: Bluetoothd | None = None
        self._objects: dict[str, tuple[str, Characteristic | None]] = {}
        self.connected = asyncio.Event()

    def place(self, adapter: str, stack: "Bluetoothd") -> None:
        """Come into reach of *stack*."""
        self.stack = stack
        self.path = f"{adapter}/dev_{self.address.replace(':', '_')}"
        self._objects.clear()
        handle = 0x0A
        for _, characteristics in self.services:
            service = f"{self.path}/service{handle:04x}"
            self._objects[service] = service, None
            for characteristic in characteristics:
                handle += 2
                characteristic.path = f"{service}/char{handle:04x}"
                self._objects[characteristic.path] = service, characteristic
            handle += 2

    def forget(self) -> None:
        """Be unknown again, as after a restart of bluetoothd."""
        self.is_known = self.is_connected = False
        self.connected.clear()
        for characteristic in self.characteristics():
            characteristic.owners.clear()
            if characteristic.pipe is not None:
                characteristic.pipe.close()
                characteristic.pipe = None

    def characteristics(self) -> list[Characteristic]:
        """Return all characteristics."""
        return [c for _, characteristics in self.services for c in characteristics]

    def find(self, path: str) -> Characteristic:
        """Return the characteristic at *path*."""
        found = self._objects[path][1]
        assert found is not None
        return found

    def device(self) -> Interfaces:
        """Return the device as BlueZ shows it."""
        properties: dict[str, Any] = {
            "Address": Variant("s", self.address),
            "AddressType": Variant("s", "random"),
            "Name": Variant("s", self.name),
            "Alias": Variant("s", self.name),
            "Adapter": Variant("o", self.path.rsplit("/", 1)[0]),
            "Paired": Variant("b", self.is_paired),
            "Connected": Variant("b", self.is_connected),
            "Trusted": Variant("b", False),
            "Blocked": Variant("b", False),
            "LegacyPairing": Variant("b", False),
            "ServicesResolved": Variant("b", self.is_connected),
            "RSSI": Variant("n", -55),
            "UUIDs": Variant("as", [uuid_of(number) for number, _ in self.services]),
        }
        return {DEVICE: properties}

    def gatt(self) -> dict[str, Interfaces]:
        """Return the services and characteristics as BlueZ shows them."""
        numbers = iter(number for number, _ in self.services)
        shown: dict[str, Interfaces] = {}
        for path, (service, characteristic) in self._objects.items():
            if characteristic is not None:
                shown[path] = characteristic.properties(service)
                continue
            shown[path] = {
                SERVICE: {
                    "UUID": Variant("s", uuid_of(next(numbers))),
                    "Device": Variant("o", self.path),
                    "Primary": Variant("b", True),
                    "Includes": Variant("ao", []),
                }
            }
        return shown

    async def notify(self, characteristic: Characteristic, value: bytes) -> None:
        """
        Send *value* once for each registration of a client that is still there, as BlueZ
        does.
        """
        if self.stack is None or not self.is_connected:
            return
        if characteristic.pipe is not None:
            try:
                characteristic.pipe.send(value)
            except OSError:  # No subscriber is left, so BlueZ closes the channel.
                characteristic.pipe.close()
                characteristic.pipe = None
            else:
                self.sent += 1
        elif characteristic.owners:
            self.sent += 1
            for _ in characteristic.owners:
                changed = {"Value": Variant("ay", value)}
                await self.stack.changed(characteristic.path, CHARACTERISTIC, changed)

    def lost(self) -> None:
        """Note that the link has ended."""

    async def drop(self) -> None:
        """Drop the link, and be in reach again."""
        if self.stack is not None:
            await self.stack.dropped(self)

    async def ignore(self) -> None:
        """
        Answer nothing; finally BlueZ answers with an error, and ends the link if it is still the
        same.
        """
        link = self.connections
        await asyncio.sleep(self.deaf_s or 0.0)
        if self.stack is not None and link == self.connections:
            asyncio.get_running_loop().call_later(0.1, self._leave, link)
        raise Refused(UNLIKELY_ERROR)

    def _leave(self, link: int) -> None:
        if link == self.connections:
            self._leaving = asyncio.ensure_future(self.drop())


Later = Callable[[], Awaitable[None]]

"""
A bleak backend on a Bumble central: it stands in for BlueZ, without D-Bus, kernel or root.

It behaves as BlueZ was observed to behave: values reach the callback in the order of sending.
After a drop, a client that is not disconnected keeps its registrations, and each of them makes the
next client's notifications arrive once more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import (
    AdvertisementData,
    AdvertisementDataCallback,
    BaseBleakScanner,
)
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)
from bumble import att
from bumble import core as bumble_core
from bumble.core import UUID, AdvertisingData
from bumble.device import Advertisement, Connection, Peer
from bumble.gatt_client import CharacteristicProxy

from tests.bluetooth.adapter import Adapter

_MTU: Final = 247
_PROPERTIES: Final[dict[CharacteristicPropertyName, int]] = {
    "read": 0x02,
    "write-without-response": 0x04,
    "write": 0x08,
    "notify": 0x10,
    "indicate": 0x20,
}
_NEEDS_PAIRING: Final = {
    BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
    BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
}
T = TypeVar("T")


def types_for(adapter: Adapter) -> "tuple[type[AirScanner], type[AirClient]]":
    """Return the types that BleakScanner and BleakClient take as `backend=` to use *adapter*."""
    return (
        type("ThisScanner", (AirScanner,), {"adapter": adapter}),
        type("ThisClient", (AirClient,), {"adapter": adapter}),
    )


class AirScanner(BaseBleakScanner):
    """Scans with an `Adapter`."""

    adapter: Adapter

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        _scanning_mode: str = "active",
        **_platform: object,
    ) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.seen_devices = {}
        await self.adapter.start_scan(self._heard)

    async def stop(self) -> None:
        await self.adapter.stop_scan(self._heard)

    def _heard(self, advertisement: Advertisement) -> None:
        data = advertisement.data
        uuids = [
            _uuid_of(uuid)
            for kind in (
                AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
                AdvertisingData.Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
            )
            for listed in data.get_all(kind)
            for uuid in listed
        ]
        if not self.is_allowed_uuid(uuids):
            return
        name = data.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME)
        address = advertisement.address.to_string(False)
        found = AdvertisementData(name, {}, {}, uuids, None, advertisement.rssi, ())
        device = self.create_or_update_device(address, address, name, {}, found)
        self.call_detection_callbacks(device, found)


class AirClient(BaseBleakClient):
    """Connects to one sensor through an `Adapter`."""

    adapter: Adapter

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        services: object = None,
        *,
        disconnected_callback: Callable[[], None] | None = None,
        timeout: float = 10.0,
        **_platform: object,
    ) -> None:
        super().__init__(
            address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout
        )
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._subscriptions: dict[int, Callable[[bytes], None]] = {}
        self._registered: list[tuple[str, str]] = []

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return int(self._peer.gatt_client.mtu) if self._peer is not None else 23

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **_platform: Any) -> None:
        try:
            connection = await self.adapter.connect(self.address, self._timeout)
        except TimeoutError:
            raise BleakDeviceNotFoundError(self.address) from None
        connection.on(connection.EVENT_DISCONNECTION, self._on_disconnection)
        self._connection, self._peer = connection, Peer(connection)
        try:
            await self._open(connection, self._peer, pair=pair)
        except BaseException:
            await self.disconnect()
            raise

    async def _open(self, connection: Connection, peer: Peer, *, pair: bool) -> None:
        keystore = self.adapter.device.keystore
        assert keystore is not None
        if await keystore.get(str(connection.peer_address)) is not None:
            await self._call(connection.encrypt())
        elif pair:
            await self.pair()
        await self._call(peer.request_mtu(_MTU))
        await self._call(peer.discover_all())  # type: ignore[no-untyped-call]  # Bumble's gap
        self.services = _collect(peer, lambda: self.mtu_size - 3)

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self.services = None
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        await self.adapter.answer()
        self.adapter.registrations.subtract(self._registered)
        self._registered.clear()
        if self._connection is not None:
            await self._connection.disconnect()

    async def pair(self, *_arguments: Any, **_platform: Any) -> None:
        if not self.adapter.has_agent:
            raise BleakDBusError("org.bluez.Error.AuthenticationFailed", [])
        if self._connection is None:
            raise BleakError("Not connected")
        try:
            await self._call(self._connection.pair())
        except BleakError:
            raise BleakDBusError("org.bluez.Error.AuthenticationFailed", []) from None

    async def unpair(self) -> None:
        keystore = self.adapter.device.keystore
        assert keystore is not None
        await keystore.delete(self.address)

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_: Any
    ) -> bytearray:
        proxy = _proxy(characteristic)
        return bytearray(await self._with_pairing(lambda: proxy.read_value()))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_: Any
    ) -> bytearray:
        return bytearray(await self._with_pairing(descriptor.obj.read_value))

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        proxy = _proxy(characteristic)
        await self._with_pairing(lambda: proxy.write_value(bytes(data), with_response=response))

    async def write_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, data: SizedBuffer
    ) -> None:
        write = descriptor.obj.write_value
        await self._with_pairing(lambda: write(bytes(data), with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_: Any
    ) -> None:
        key = (self.address, characteristic.uuid)

        def deliver(value: bytes) -> None:
            for _ in range(self.adapter.registrations[key]):
                callback(bytearray(value))

        self.adapter.registrations[key] += 1
        self._registered.append(key)
        self._subscriptions[characteristic.handle] = deliver
        prefer_notify = "notify" in characteristic.properties
        subscribing = _proxy(characteristic).subscribe(deliver, prefer_notify=prefer_notify)
        await self._call(subscribing)

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        deliver = self._subscriptions.pop(characteristic.handle)
        key = (self.address, characteristic.uuid)
        self._registered.remove(key)
        self.adapter.registrations[key] -= 1
        await self._call(_proxy(characteristic).unsubscribe(deliver))

    async def _with_pairing(self, operation: Callable[[], Awaitable[T]]) -> T:
        """
        Run *operation*; if the sensor requires pairing and there is a pairing agent,
        pair first.
        """
        try:
            return await self._call(operation())
        except BleakGATTProtocolError as error:
            if error.code not in _NEEDS_PAIRING or not self.adapter.has_agent:
                raise
        await self.pair()
        return await self._call(operation())

    async def _call(self, operation: Awaitable[T]) -> T:
        """
        Await *operation* unless the link breaks first; raise errors as bleak does.

        Raises:
            BleakError: The operation failed.
        """
        connection = self._connection
        if connection is None:
            _discard(operation)
            raise BleakError("Not connected")
        try:
            await self.adapter.answer()
        except BaseException:
            _discard(operation)
            raise
        try:
            return await connection.cancel_on_disconnection(operation)
        except asyncio.CancelledError:
            if self._connection is connection:
                raise
            raise BleakError("disconnected") from None
        except att.ATT_Error as error:
            code = BleakGATTProtocolErrorCode(int(error.error_code))
            raise BleakGATTProtocolError(code) from error
        except bumble_core.BaseBumbleError as error:
            raise BleakError(type(error).__name__) from error


def _discard(operation: Awaitable[object]) -> None:
    if isinstance(operation, Coroutine):
        operation.close()


def _collect(peer: Peer, room: Callable[[], int]) -> BleakGATTServiceCollection:
    """Return the services that *peer* was found to have."""
    collection = BleakGATTServiceCollection()
    for found in peer.services:
        service = BleakGATTService(found, found.handle, _uuid_of(found.uuid))
        collection.add_service(service)
        for proxy in found.characteristics:
            properties = [name for name, bit in _PROPERTIES.items() if proxy.properties & bit]
            characteristic = BleakGATTCharacteristic(
                proxy, proxy.handle, _uuid_of(proxy.uuid), properties, room, service
            )
            collection.add_characteristic(characteristic)
            for descriptor in proxy.descriptors:
                collection.add_descriptor(
                    BleakGATTDescriptor(
                        descriptor, descriptor.handle, _uuid_of(descriptor.type), characteristic
                    )
                )
    return collection


def _proxy(characteristic: BleakGATTCharacteristic) -> "CharacteristicProxy[bytes]":
    proxy = characteristic.obj
    assert isinstance(proxy, CharacteristicProxy)
    return proxy


def _uuid_of(uuid: UUID) -> str:
    """Return *uuid* in bleak's notation."""
    digits = uuid.to_bytes(force_128=True)[::-1].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

"""The GATT server of a sensor, built on Bumble."""

from collections.abc import Awaitable, Callable, Sequence
from functools import reduce
from operator import or_
from typing import Final

from bumble import att, data_types
from bumble.core import UUID, AdvertisingData, DataType
from bumble.device import Connection, Device
from bumble.gatt import Characteristic as GattCharacteristic
from bumble.gatt import CharacteristicValue
from bumble.gatt import Service as GattService

from simulators.sensor.device.attributes import (
    WRITE_NOT_PERMITTED,
    Characteristic,
    Refused,
    Service,
)
from simulators.sensor.device.link import SensorLink

_ADVERTISEMENT_BYTES: Final = 31
_FIELD_HEAD_BYTES: Final = 2
_P: Final = GattCharacteristic.Properties
_A: Final = att.Attribute.Permissions


class GattServer:
    """
    Serves attributes to every connection of a device; fills `link.Server`.

    Args:
        device: Bumble's device, not powered on yet.

        link_of: Returns the link of a connection; None if it is closed.

        changed: Called when a central subscribes or unsubscribes.

        answer: Turns the value that is read into the answer, when the answer is due.

        trusts: Tells whether a connection may read protected values.
    """

    def __init__(
        self,
        device: Device,
        *,
        link_of: Callable[[Connection], SensorLink | None],
        changed: Callable[[], None],
        answer: Callable[[bytes], Awaitable[bytes]],
        trusts: Callable[[Connection], bool],
    ) -> None:
        self._device = device
        self._link_of = link_of
        self._changed = changed
        self._answer = answer
        self._trusts = trusts
        self._served: dict[int, GattCharacteristic[bytes]] = {}

    def serve(self, service: Service) -> None:
        """Add *service* to what is served."""
        characteristics = [self._build(one) for one in service.characteristics]
        self._device.add_service(
            GattService(UUID.from_16_bits(service.number), list(characteristics))
        )

    def cccd(self, connection: Connection, number: int) -> int:
        configured = self._device.gatt_server.subscribers.get(connection, {})
        return int.from_bytes(configured.get(self._served[number].handle, b""), "little")

    async def notify(self, connection: Connection, number: int, value: bytes) -> None:
        await self._device.notify_subscriber(connection, self._served[number], value)

    async def indicate(self, connection: Connection, number: int, value: bytes) -> None:
        await self._device.indicate_subscriber(connection, self._served[number], value)

    def _build(self, characteristic: Characteristic) -> GattCharacteristic[bytes]:
        does = [
            (characteristic.read is not None, _P.READ, _A.READABLE),
            (characteristic.write is not None, _P.WRITE, _A.WRITEABLE),
            (characteristic.notifies, _P.NOTIFY, _A(0)),
            (characteristic.indicates, _P.INDICATE, _A(0)),
        ]
        built: GattCharacteristic[bytes] = GattCharacteristic(
            UUID.from_16_bits(characteristic.number),
            reduce(or_, (prop for does_it, prop, _ in does if does_it), _P(0)),
            reduce(or_, (permission for does_it, _, permission in does if does_it), _A(0)),
            CharacteristicValue(
                read=lambda connection: self._read(characteristic, connection),
                write=lambda connection, value: self._write(characteristic, connection, value),
            ),
        )
        built.on(built.EVENT_SUBSCRIPTION, lambda *_: self._changed())
        self._served[characteristic.number] = built
        return built

    async def _read(self, characteristic: Characteristic, connection: Connection) -> bytes:
        self._guard(characteristic, connection)
        value = characteristic.read() if characteristic.read is not None else b""
        return await self._answer(value)

    def _write(self, characteristic: Characteristic, connection: Connection, value: bytes) -> None:
        self._guard(characteristic, connection)
        link = self._link_of(connection)
        try:
            if characteristic.write is None or link is None:
                raise Refused(WRITE_NOT_PERMITTED)
            characteristic.write(link, bytes(value))
        except Refused as refused:
            raise att.ATT_Error(att.ErrorCode(refused.code)) from refused

    def _guard(self, characteristic: Characteristic, connection: Connection) -> None:
        if characteristic.is_secret and not self._trusts(connection):
            raise att.ATT_Error(att.ErrorCode.INSUFFICIENT_AUTHENTICATION)


def advertisement(name: str, services: Sequence[int]) -> bytes:
    """Return the advertisement of a sensor; a name that is too long is cut off."""
    flags = (
        AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE
        | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
    )
    uuids = [UUID.from_16_bits(number) for number in services]
    parts: list[DataType] = [
        data_types.Flags(flags),
        data_types.CompleteListOf16BitServiceUUIDs(uuids),
    ]
    room = _ADVERTISEMENT_BYTES - len(bytes(AdvertisingData(parts))) - _FIELD_HEAD_BYTES
    cut = name.encode()[:room].decode(errors="ignore")
    return bytes(AdvertisingData([*parts, data_types.CompleteLocalName(cut)]))

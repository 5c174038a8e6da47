"""
One connection to one sensor, through bleak.

It always ends with a disconnect, even if the sensor closed the connection. Otherwise bleak keeps
its D-Bus connection open and BlueZ its registration for notifications, and each such registration
makes later notifications arrive once more.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec
from bleak import BleakClient
from bleak.args.bluez import BlueZClientArgs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import BaseBleakScanner

from edge_agent.bluetooth.errors import (
    BluetoothError,
    BondRefused,
    CallTimedOut,
    LinkLost,
    NotAuthorised,
    SensorRefused,
    Unanswered,
)
from edge_agent.bluetooth.radio.deadline import within
from edge_agent.bluetooth.radio.error_translation import FAILURES, says_bond, translate
from edge_agent.gatt.registry import uuid_of

T = TypeVar("T")

CONNECT_S: Final = 30.0
"""The time to connect, in seconds: the kernel tries for 20 s, then BlueZ discovers services."""
CALL_S: Final = 10.0
BONDING_S: Final = 35.0
"""
The time for one call to a sensor that may want a bond, in seconds. BlueZ ends a call without an
answer after 30 s, but not a call during which it tries to pair.
"""
DISCONNECT_S: Final = 5.0
_LAST_WORDS_S: Final = 0.2
# ATT, Unlikely Error: BlueZ returns it if a sensor does not answer.
_UNLIKELY: Final = 0x0E
_PAIR_S: Final = 60.0
"""The time to pair, in seconds: a person has to read six digits and type them."""
_HOST_DOWN_DISCONNECT_S: Final = 0.5


class Radio(msgspec.Struct, frozen=True):
    """The adapter, and the backend of bleak that reaches it."""

    adapter: str | None = None
    """The name of the adapter, such as hci0; None for the first that is switched on."""
    scanner_type: type[BaseBleakScanner] | None = None
    """The class of the scanner; None for the backend of this platform, which is BlueZ."""
    client_type: type[BaseBleakClient] | None = None
    call_s: float = CALL_S
    """How long one call to a sensor may take, in seconds."""
    bonding_s: float = BONDING_S
    """
    How long one call to a suspected sensor may take, in seconds. It distinguishes a sensor that is
    out of reach from a sensor that wants a bond.
    """


class Link:
    """
    A live connection. Each method ends within a bounded time, or raises BluetoothError.

    Args:
        client: The connected client of bleak.

        gone: Set when the connection has ended.

        radio: The adapter and its time-outs.

        is_inherited: Whether an earlier process made the connection. Its requests may be under
            way.

        is_bonded: Whether there is a bond; None if unknown.

        is_suspect: Whether the sensor left a call unanswered before, and may want a bond.
    """

    def __init__(
        self,
        client: BleakClient,
        gone: asyncio.Event,
        radio: Radio,
        *,
        is_inherited: bool = False,
        is_bonded: bool | None = None,
        is_suspect: bool = False,
    ) -> None:
        self.is_inherited = is_inherited
        self._may_want_bond = is_bonded is False
        self._is_suspect = is_suspect and self._may_want_bond
        self._client = client
        self._gone = gone
        self._call_s = radio.bonding_s if self._is_suspect else radio.call_s

    def _find(self, service: int, number: int) -> BleakGATTCharacteristic | None:
        try:
            services = self._client.services
        except FAILURES as exc:
            raise translate(exc, "looking up services") from None
        uuid = uuid_of(number)
        for found in services:
            if found.uuid.lower() == uuid_of(service):
                return next((c for c in found.characteristics if c.uuid.lower() == uuid), None)
        return None

    def has(self, service: int, number: int) -> bool:
        """Tell whether the sensor has characteristic *number* in *service*."""
        return self._find(service, number) is not None

    def can_notify(self, service: int, number: int) -> bool:
        """Tell whether characteristic *number* of *service* notifies or indicates."""
        found = self._find(service, number)
        return found is not None and not {"notify", "indicate"}.isdisjoint(found.properties)

    def can_write(self, service: int, number: int) -> bool:
        """Tell whether characteristic *number* of *service* can be written."""
        found = self._find(service, number)
        return found is not None and "write" in found.properties

    def _get(self, service: int, number: int) -> BleakGATTCharacteristic:
        found = self._find(service, number)
        if found is None:
            raise SensorRefused("a characteristic")
        return found

    async def read(self, service: int, number: int) -> bytes:
        """Read the value of characteristic *number* in *service*."""
        found = self._get(service, number)
        return bytes(await self._ask("reading", self._client.read_gatt_char(found)))

    async def write(self, service: int, number: int, value: bytes) -> None:
        """Write *value*, and wait until the sensor confirms it."""
        found = self._get(service, number)
        await self._ask("writing", self._client.write_gatt_char(found, value, response=True))

    async def subscribe(
        self, service: int, number: int, on_value: Callable[[bytes], None]
    ) -> None:
        """Call *on_value*, which must not raise, for each notification or indication."""
        found = self._get(service, number)

        def notified(_: BleakGATTCharacteristic, value: bytearray) -> None:
            if not self._gone.is_set():
                on_value(bytes(value))

        await self._ask("subscribing", self._client.start_notify(found, notified))

    async def pair(self) -> None:
        """Make a bond, unless there is one."""
        await self._call("pairing", self._client.pair(), seconds=_PAIR_S)

    def lose(self) -> None:
        """Treat the connection as ended: the process that held it is gone."""
        self._gone.set()

    async def until_gone(self) -> None:
        """Return when the connection has ended."""
        await self._gone.wait()

    async def hold(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Return the result of *work*, while the connection lasts.

        Raises:
            LinkLost: The connection ended first.
        """
        working = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            # A meter may disconnect after its last value, while values are still being passed on.
            await asyncio.wait({working}, timeout=_LAST_WORDS_S)
            if not working.done():
                raise LinkLost
            return working.result()
        finally:
            for task in (working, ending):
                task.cancel()
            await asyncio.gather(working, ending, return_exceptions=True)

    async def _ask(self, call: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await self._call(call, work)
        except CallTimedOut:
            # When a sensor asks for a bond, BlueZ tries to make one. Without a pairing agent that
            # fails, and BlueZ never answers the call.
            if self._is_suspect:
                raise NotAuthorised(call) from None
            if self._may_want_bond:
                raise Unanswered(call) from None
            raise
        except SensorRefused as exc:
            if self._is_suspect and exc.code == _UNLIKELY:
                raise Unanswered(call) from None
            raise

    async def _call(self, call: str, work: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        try:
            async with asyncio.timeout(seconds or self._call_s):
                return await work
        except FAILURES as exc:
            if self._gone.is_set():
                raise LinkLost from None
            raise translate(exc, call) from None


async def forget(device: BLEDevice, radio: Radio) -> None:
    """
    Remove *device* and its bond from the host.

    Raises:
        BluetoothError: The host cannot remove it.
    """
    client = BleakClient(device, bluez=_adapter(radio), backend=radio.client_type)
    try:
        await within(CALL_S, "forgetting", client.unpair())
    except FAILURES as exc:
        raise translate(exc, "forgetting") from None


def _adapter(radio: Radio) -> BlueZClientArgs:
    return {} if radio.adapter is None else {"adapter": radio.adapter}


def _is_bonded(device: BLEDevice) -> bool | None:
    """Tell whether BlueZ has a bond with *device*; None without BlueZ."""
    details = device.details if isinstance(device.details, dict) else {}
    paired = details.get("props", {}).get("Paired")
    return paired if isinstance(paired, bool) else None


@contextlib.asynccontextmanager
async def connected(
    device: BLEDevice,
    radio: Radio,
    *,
    is_inherited: bool = False,
    is_suspect: bool = False,
    host_is_up: Callable[[], bool],
) -> AsyncIterator[Link]:
    """
    Connect to *device* for as long as the context is open.

    Args:
        device: The device, as a scan has just returned it.

        radio: The adapter to use.

        is_inherited: Whether another process has connected it already.

        is_suspect: Whether the sensor left a call unanswered before.

        host_is_up: Tells whether bluetoothd runs, so that disconnecting makes sense.

    Raises:
        BluetoothError: The connection could not be made.
    """
    gone = asyncio.Event()
    client = BleakClient(
        device,
        lambda _: gone.set(),
        timeout=CONNECT_S,
        bluez=_adapter(radio),
        backend=radio.client_type,
    )
    try:
        try:
            await within(CONNECT_S, "connecting", client.connect())
        except FAILURES as exc:
            if _is_bonded(device) and says_bond(exc):
                raise BondRefused from None
            raise translate(exc, "connecting") from None
        yield Link(
            client,
            gone,
            radio,
            is_inherited=is_inherited,
            is_bonded=_is_bonded(device),
            is_suspect=is_suspect,
        )
    finally:
        gone.set()
        # An error here does not matter: the work is finished, or was lost before.
        with contextlib.suppress(BluetoothError, *FAILURES):
            patience_s = DISCONNECT_S if host_is_up() else _HOST_DOWN_DISCONNECT_S
            await within(patience_s, "disconnecting", client.disconnect())

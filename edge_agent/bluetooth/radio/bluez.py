"""BlueZ over D-Bus, for what bleak does not offer: liveness, power cycle, restart."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from edge_agent.bluetooth.errors import StackError

BLUEZ: Final = "org.bluez"
_BUS: Final = "org.freedesktop.DBus"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_ADAPTER: Final = "org.bluez.Adapter1"
_DEVICE: Final = "org.bluez.Device1"
_CALL_S: Final = 10.0
_PING_S: Final = 5.0
_OFF_S: Final = 1.0
"""How long the adapter stays off in a power cycle, in seconds."""
_RETRY_S: Final = 1.0
FAILURES: Final = (DBusFastError, OSError, EOFError)


@contextlib.asynccontextmanager
async def system_bus() -> AsyncIterator[MessageBus]:
    """
    Open a connection to the system's D-Bus.

    Raises:
        StackError: D-Bus cannot be reached.
    """
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        try:
            async with asyncio.timeout(_CALL_S):
                await bus.connect()
        except FAILURES:
            raise StackError("the system D-Bus cannot be reached: check that dbus runs") from None
        yield bus
    finally:
        bus.disconnect()


async def call(  # noqa: PLR0913 - what a message has
    bus: MessageBus,
    destination: str,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: Sequence[Any] = (),
    *,
    within_s: float = _CALL_S,
) -> list[Any]:
    """
    Call a D-Bus method, and return its result.

    Raises:
        StackError: The call failed, or took too long.
    """
    message = Message(
        destination=destination,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=list(body),
    )
    try:
        async with asyncio.timeout(within_s):
            reply = await bus.call(message)
    except FAILURES:
        raise StackError(f"{member} failed") from None
    if reply.message_type is MessageType.ERROR:
        raise StackError(f"{member} was refused")
    return list(reply.body)


class BluezHost:
    """
    The Bluetooth of a machine that runs BlueZ.

    Args:
        adapter: The name of the adapter, such as hci0; None for the first.

        unit: The systemd unit of bluetoothd.

        ping_every_s: How often to check that bluetoothd answers, in seconds.
    """

    def __init__(
        self,
        adapter: str | None = None,
        *,
        unit: str = "bluetooth.service",
        ping_every_s: float = 10.0,
    ) -> None:
        self._ping_every_s = ping_every_s
        self._adapter = adapter
        self._unit = unit

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """
        Call *changed* each time bluetoothd stops or starts, until cancelled.

        If bluetoothd is killed, the bus reports that its name has no owner. If it hangs, nothing
        is reported, so it is asked from time to time.
        """
        while True:
            with contextlib.suppress(StackError, *FAILURES):
                async with system_bus() as bus:
                    await _Watch(bus, changed, self._ping_every_s).run()
            changed(False)
            await asyncio.sleep(_RETRY_S)

    async def connected(self) -> Collection[str]:
        async with system_bus() as bus:
            objects = await _objects(bus)
        devices = (interfaces[_DEVICE] for interfaces in objects.values() if _DEVICE in interfaces)
        return {d["Address"].value.upper() for d in devices if d["Connected"].value}

    async def power_on(self) -> None:
        async with system_bus() as bus:
            await self._power(bus, is_on=True)

    async def power_cycle(self) -> None:
        async with system_bus() as bus:
            # An adapter that hangs may refuse to switch off, and still switch on.
            with contextlib.suppress(StackError):
                await self._power(bus, is_on=False)
                await asyncio.sleep(_OFF_S)
            await self._power(bus, is_on=True)

    async def restart(self) -> None:
        async with system_bus() as bus:
            await call(
                bus,
                "org.freedesktop.systemd1",
                "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager",
                "RestartUnit",
                "ss",
                [self._unit, "replace"],
            )

    async def _power(self, bus: MessageBus, *, is_on: bool) -> None:
        path = await self._path(bus)
        value = Variant("b", is_on)
        body = [_ADAPTER, "Powered", value]
        await call(bus, BLUEZ, path, _PROPERTIES, "Set", "ssv", body)

    async def _path(self, bus: MessageBus) -> str:
        if self._adapter is not None:
            return f"/org/bluez/{self._adapter}"
        objects = await _objects(bus)
        paths = sorted(path for path, interfaces in objects.items() if _ADAPTER in interfaces)
        if not paths:
            raise StackError("there is no Bluetooth adapter")
        return str(paths[0])


async def _objects(bus: MessageBus) -> dict[str, dict[str, dict[str, Variant]]]:
    """Return all objects of BlueZ, by path, interface and property."""
    manager = "org.freedesktop.DBus.ObjectManager"
    (objects,) = await call(bus, BLUEZ, "/", manager, "GetManagedObjects", within_s=_PING_S)
    shown: dict[str, dict[str, dict[str, Variant]]] = objects
    return shown


class _Watch:
    """
    Reports stops and starts of bluetoothd until the bus ends.

    Args:
        bus: The bus.

        changed: Called with whether bluetoothd runs.

        ping_every_s: How often to check that bluetoothd answers, in seconds.
    """

    def __init__(
        self, bus: MessageBus, changed: Callable[[bool], None], ping_every_s: float
    ) -> None:
        self._bus = bus
        self._changed = changed
        self._ping_every_s = ping_every_s
        self._is_owned = False

    async def run(self) -> None:
        self._bus.add_message_handler(self._heard)
        rule = f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{BLUEZ}'"
        at = (self._bus, _BUS, "/org/freedesktop/DBus", _BUS)
        await call(*at, "AddMatch", "s", [rule])
        (is_owned,) = await call(*at, "NameHasOwner", "s", [BLUEZ])
        self._tell(bool(is_owned))
        ending = asyncio.ensure_future(_until_closed(self._bus))
        try:
            while not ending.done():
                await asyncio.wait({ending}, timeout=self._ping_every_s)
                await self._ping()
        finally:
            ending.cancel()

    def _heard(self, message: Message) -> None:
        if message.member == "NameOwnerChanged" and message.body[:1] == [BLUEZ]:
            self._tell(bool(message.body[2]))

    def _tell(self, is_owned: bool) -> None:
        self._is_owned = is_owned
        self._changed(is_owned)

    async def _ping(self) -> None:
        if not self._is_owned:
            return  # bluetoothd does not run. A call would start it, which is not decided here.
        try:
            await call(self._bus, BLUEZ, "/org/bluez", f"{_BUS}.Peer", "Ping", within_s=_PING_S)
        except StackError:
            self._changed(False)
        else:
            self._changed(self._is_owned)


async def _until_closed(bus: MessageBus) -> None:
    with contextlib.suppress(*FAILURES):
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus_fast's gap

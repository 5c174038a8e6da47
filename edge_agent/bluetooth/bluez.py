"""BlueZ over D-Bus, as far as bleak does not speak to it: its life and death, power, restart."""

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
_OFF_S: Final = 1.0
"""How long the adapter stays off in a power cycle."""
_RETRY_S: Final = 1.0
FAILURES: Final = (DBusFastError, OSError, EOFError)


@contextlib.asynccontextmanager
async def system_bus() -> AsyncIterator[MessageBus]:
    """
    A connection of our own to the system's D-Bus.

    Raises:
        StackError: There is none.
    """
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        try:
            async with asyncio.timeout(_CALL_S):
                await bus.connect()
        except FAILURES:
            raise StackError("D-Bus cannot be reached") from None
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
) -> list[Any]:
    """
    Call a method, and return what it returns.

    Raises:
        StackError: It failed, or took too long.
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
        async with asyncio.timeout(_CALL_S):
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
        adapter: Its name, hci0; None for the first.

        unit: What systemd calls bluetoothd.
    """

    def __init__(self, adapter: str | None = None, *, unit: str = "bluetooth.service") -> None:
        self._adapter = adapter
        self._unit = unit

    async def watch(self, changed: Callable[[bool], None]) -> None:
        """
        Call *changed* whenever bluetoothd went or came, until cancelled.

        When it is killed nobody says so but the bus: its name has no owner any more.
        """
        while True:
            with contextlib.suppress(StackError, *FAILURES):
                async with system_bus() as bus:
                    await _watch(bus, changed)
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
            # An adapter that is wedged may refuse to go off, and yet come on.
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
            raise StackError("there is no adapter")
        return str(paths[0])


async def _objects(bus: MessageBus) -> dict[str, dict[str, dict[str, Variant]]]:
    """Return all that BlueZ shows: by path, interface and property."""
    manager = "org.freedesktop.DBus.ObjectManager"
    (objects,) = await call(bus, BLUEZ, "/", manager, "GetManagedObjects")
    shown: dict[str, dict[str, dict[str, Variant]]] = objects
    return shown


async def _watch(bus: MessageBus, changed: Callable[[bool], None]) -> None:
    """Tell of bluetoothd until the bus ends."""

    def heard(message: Message) -> None:
        if message.member == "NameOwnerChanged" and message.body[:1] == [BLUEZ]:
            changed(bool(message.body[2]))

    bus.add_message_handler(heard)
    rule = f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{BLUEZ}'"
    await call(bus, _BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", [rule])
    (is_owned,) = await call(
        bus, _BUS, "/org/freedesktop/DBus", _BUS, "NameHasOwner", "s", [BLUEZ]
    )
    changed(bool(is_owned))
    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus_fast's gap

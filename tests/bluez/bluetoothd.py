"""
A simulated org.bluez on a private bus: bleak's real backend cannot distinguish it from bluetoothd.

It behaves as BlueZ 5.66 was observed to behave. A client that registered for notifications and
keeps its bus connection open is also notified over the next connection to the sensor, and each
registration makes every value arrive once more. A killed bluetoothd sends no notice.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from dbus_fast import BusType, Message, MessageFlag, MessageType, NameFlag, Variant
from dbus_fast.aio import MessageBus

from tests.bluez.calls import BluezError, Call, follow_names
from tests.bluez.methods import ADAPTER, ADAPTER_INTERFACE, BluezMethods
from tests.bluez.objects import DEVICE, FakeSensor, Interfaces, Refused

_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"


class Bluetoothd:
    """A bluetoothd with one adapter, which can be started and killed repeatedly."""

    def __init__(self) -> None:
        self.sensors: list[FakeSensor] = []
        self.calls: Counter[str] = Counter()
        self.is_powered = True
        self.has_adapter = True
        self.errors: dict[str, str] = {}
        """By method: the D-Bus error that answers each call of it."""
        self.hangs: set[str] = set()
        """Methods that are never answered."""
        self.is_mute = False
        """Whether it sends no signals."""
        self.agents: dict[str, str] = {}
        """By bus name: the capability of the pairing agent."""
        self.has_agent = asyncio.Event()
        """Set as soon as there is a pairing agent."""
        self.passkey = 123456
        self.pairing: str | None = None
        """The method of the agent that pairing calls: RequestAuthorization or RequestPasskey."""
        self.units: list[str] = []
        """The units that systemd was asked to restart."""
        self.on_restart: Callable[[], Awaitable[None]] | None = None
        self.on_power_off: Callable[[], None] | None = None
        self._methods = BluezMethods(self)
        self._bus: MessageBus | None = None
        self.discovering: set[str] = set()
        """The bus names of clients that are scanning."""
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, sensor: FakeSensor) -> FakeSensor:
        """Bring *sensor* into reach."""
        sensor.place(ADAPTER, self)
        self.sensors.append(sensor)
        return sensor

    async def start(self, *, systemd: bool = False) -> None:
        """Appear on the bus; with *systemd* also under systemd's name."""
        self._bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
        self._bus.add_message_handler(self._on_message)
        await self._bus.request_name("org.bluez", NameFlag.NONE)
        if systemd:
            await self._bus.request_name("org.freedesktop.systemd1", NameFlag.NONE)
        await follow_names(self._bus)

    async def start_systemd(self) -> None:
        """Appear only under systemd's name."""
        self._bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self._bus.add_message_handler(self._on_message)
        await self._bus.request_name("org.freedesktop.systemd1", NameFlag.NONE)

    async def kill(self) -> None:
        """Leave the bus without notice, and drop all connections."""
        bus, self._bus = self._bus, None
        self.discovering.clear()
        for sensor in self.sensors:
            sensor.forget()
        # A restart that it was asked for is one of its tasks, and continues.
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if bus is not None:
            bus.disconnect()
            with contextlib.suppress(Exception):
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def remove_adapter(self) -> None:
        """Remove the adapter, as when it is unplugged."""
        self.has_adapter = False
        for sensor in self.sensors:
            known = sensor.is_known
            await self.dropped(sensor)
            sensor.forget()
            if known:
                await self.removed(sensor.path, [DEVICE])
        self.discovering.clear()
        await self.removed(ADAPTER, [ADAPTER_INTERFACE])

    async def switch_off(self) -> None:
        """Switch the adapter off, as a user can."""
        for sensor in self.sensors:
            await self.dropped(sensor)
        self.is_powered = False
        await self.changed(ADAPTER, ADAPTER_INTERFACE, {"Powered": Variant("b", False)})

    async def insert_adapter(self, *, powered: bool = True) -> None:
        """Insert the adapter again."""
        self.has_adapter, self.is_powered = True, powered
        await self.added(ADAPTER, self._adapter())

    async def changed(self, path: str, interface: str, values: dict[str, Variant]) -> None:
        """Signal changed properties to all clients."""
        body = [interface, values, []]
        await self._signal(path, _PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    async def dropped(self, sensor: FakeSensor) -> None:
        """Note that *sensor* has disconnected; registrations of open bus connections remain."""
        if not sensor.is_connected:
            return
        sensor.is_connected = False
        sensor.connected.clear()
        sensor.lost()
        for characteristic in sensor.characteristics():
            if characteristic.pipe is not None:
                characteristic.pipe.close()
                characteristic.pipe = None
        gone = {"ServicesResolved": Variant("b", False), "Connected": Variant("b", False)}
        await self.changed(sensor.path, DEVICE, gone)

    async def call_agent(self, member: str, signature: str, body: list[Any]) -> Message | None:
        """Call the pairing agent that registered last; return None if there is none."""
        if not self.agents or self._bus is None:
            return None
        name = list(self.agents)[-1]
        return await self._bus.call(
            Message(
                destination=name,
                path="/org/vitalveil/agent",
                interface="org.bluez.Agent1",
                member=member,
                signature=signature,
                body=body,
            )
        )

    def _adapter(self) -> Interfaces:
        return {
            ADAPTER_INTERFACE: {
                "Address": Variant("s", "C0:FF:EE:00:00:FF"),
                "Name": Variant("s", "fake"),
                "Powered": Variant("b", self.is_powered),
                "Discovering": Variant("b", bool(self.discovering)),
                "Roles": Variant("as", ["central", "peripheral"]),
            }
        }

    def objects(self) -> dict[str, Interfaces]:
        """Return every object that clients see now."""
        shown: dict[str, Interfaces] = {}
        if self.has_adapter:
            shown[ADAPTER] = self._adapter()
        for sensor in self.sensors:
            if sensor.is_known:
                shown[sensor.path] = sensor.device()
            if sensor.is_connected:
                shown.update(sensor.gatt())
        return shown

    async def _signal(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> None:
        if self._bus is not None and self._bus.connected and not self.is_mute:
            await self._bus.send(Message.new_signal(path, interface, member, signature, body))

    async def added(self, path: str, interfaces: Interfaces) -> None:
        """Announce an object."""
        await self._signal("/", _MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])

    async def removed(self, path: str, interfaces: list[str]) -> None:
        """Announce that an object is gone."""
        await self._signal("/", _MANAGER, "InterfacesRemoved", "oas", [path, interfaces])

    def _on_message(self, message: Message) -> bool | None:
        if message.member == "NameOwnerChanged" and message.message_type is MessageType.SIGNAL:
            name, _, owner = message.body
            if not owner:
                self._left(name)
            return None
        if message.message_type is not MessageType.METHOD_CALL or (message.path or "").startswith(
            "/org/freedesktop/DBus"
        ):
            return None
        self.spawn(self._dispatch(message))
        return True

    def _left(self, name: str) -> None:
        self.discovering.discard(name)
        self.agents.pop(name, None)
        for sensor in self.sensors:
            for characteristic in sensor.characteristics():
                while name in characteristic.owners:
                    characteristic.owners.remove(name)

    def spawn(self, work: Any) -> None:
        """Run *work* until `kill`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dispatch(self, message: Message) -> None:
        member = message.member or ""
        self.calls[member] += 1
        if member in self.hangs:
            return
        call = Call(message.path or "", message.sender or "", message.body)
        try:
            if member in self.errors:
                raise BluezError(self.errors[member])
            signature, body, fds = await getattr(self._methods, "do_" + member)(call)
        except BluezError as exc:
            reply = Message.new_error(message, exc.name, exc.text)
        except Refused as exc:
            text = f"Operation failed with ATT error: 0x{exc.code:02x}"
            reply = Message.new_error(message, "org.bluez.Error.Failed", text)
        else:
            reply = Message(
                message_type=MessageType.METHOD_RETURN,
                reply_serial=message.serial,
                destination=message.sender,
                signature=signature,
                body=body,
                unix_fds=fds,
            )
        if self._bus is not None and not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            await self._bus.send(reply)

"""
A simulated org.bluez on a private bus: bleak's real backend cannot distinguish it from bluetoothd.

It behaves as BlueZ 5.66 was observed to behave. A client that registered for notifications and
keeps its bus connection open is also notified over the next connection to the sensor, and each
registration makes every value arrive once more. A killed bluetoothd sends no notice.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from dbus_fast import BusType, ErrorType, Message, MessageFlag, MessageType, NameFlag, Variant
from dbus_fast.aio import MessageBus

from tests.bluez.calls import NOTHING, Answer, BluezError, Call, follow_names
from tests.bluez.objects import CHARACTERISTIC, DEVICE, FakeSensor, Interfaces, Refused

ADAPTER: Final = "/org/bluez/hci0"
_ADAPTER_INTERFACE: Final = "org.bluez.Adapter1"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
_ADVERTISED_EACH_S: Final = 0.02


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
        self._bus: MessageBus | None = None
        self._discovering: set[str] = set()
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
        self._discovering.clear()
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
                await self._removed(sensor.path, [DEVICE])
        self._discovering.clear()
        await self._removed(ADAPTER, [_ADAPTER_INTERFACE])

    async def switch_off(self) -> None:
        """Switch the adapter off, as a user can."""
        for sensor in self.sensors:
            await self.dropped(sensor)
        self.is_powered = False
        await self.changed(ADAPTER, _ADAPTER_INTERFACE, {"Powered": Variant("b", False)})

    async def insert_adapter(self, *, powered: bool = True) -> None:
        """Insert the adapter again."""
        self.has_adapter, self.is_powered = True, powered
        await self._added(ADAPTER, self._adapter())

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
            _ADAPTER_INTERFACE: {
                "Address": Variant("s", "C0:FF:EE:00:00:FF"),
                "Name": Variant("s", "fake"),
                "Powered": Variant("b", self.is_powered),
                "Discovering": Variant("b", bool(self._discovering)),
                "Roles": Variant("as", ["central", "peripheral"]),
            }
        }

    def _objects(self) -> dict[str, Interfaces]:
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

    async def _added(self, path: str, interfaces: Interfaces) -> None:
        await self._signal("/", _MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])

    async def _removed(self, path: str, interfaces: list[str]) -> None:
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
        self._spawn(self._dispatch(message))
        return True

    def _left(self, name: str) -> None:
        self._discovering.discard(name)
        self.agents.pop(name, None)
        for sensor in self.sensors:
            for characteristic in sensor.characteristics():
                while name in characteristic.owners:
                    characteristic.owners.remove(name)

    def _spawn(self, work: Any) -> None:
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
            signature, body, fds = await getattr(self, "do_" + member)(call)
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

    def _sensor(self, path: str) -> FakeSensor:
        for sensor in self.sensors:
            if sensor.is_known and (path == sensor.path or path.startswith(sensor.path + "/")):
                return sensor
        raise BluezError(ErrorType.UNKNOWN_OBJECT.value, path)

    def _connected(self, call: Call) -> tuple[FakeSensor, Any]:
        sensor = self._sensor(call.path)
        if not sensor.is_connected:
            raise BluezError("org.bluez.Error.Failed", "Not connected")
        if sensor.needs_pairing and not sensor.is_paired:
            raise BluezError("org.bluez.Error.NotPermitted", "Not paired")
        return sensor, sensor.find(call.path)

    async def do_Ping(self, _: Call) -> Answer:  # noqa: N802
        return NOTHING

    async def do_GetManagedObjects(self, _: Call) -> Answer:  # noqa: N802 - BlueZ's word
        return "a{oa{sa{sv}}}", [self._objects()], []

    async def do_Set(self, call: Call) -> Answer:  # noqa: N802
        interface, name, value = call.body
        if interface == _ADAPTER_INTERFACE and name == "Powered":
            if not self.has_adapter:
                raise BluezError(ErrorType.UNKNOWN_OBJECT.value)
            if not value.value:
                for sensor in self.sensors:
                    await self.dropped(sensor)
                if self.on_power_off is not None:
                    self.on_power_off()
            self.is_powered = value.value
            await self.changed(ADAPTER, interface, {"Powered": value})
        return NOTHING

    async def do_SetDiscoveryFilter(self, _: Call) -> Answer:  # noqa: N802
        return NOTHING

    async def do_StartDiscovery(self, call: Call) -> Answer:  # noqa: N802
        if not self.is_powered:
            raise BluezError("org.bluez.Error.NotReady")
        self._discovering.add(call.sender)
        self._spawn(self._advertise(call.sender))
        return NOTHING

    async def do_StopDiscovery(self, call: Call) -> Answer:  # noqa: N802
        self._discovering.discard(call.sender)
        return NOTHING

    async def _advertise(self, listener: str) -> None:
        while listener in self._discovering:
            for sensor in self.sensors:
                if sensor.is_hidden or sensor.is_connected:
                    continue
                if sensor.is_known:
                    await self.changed(sensor.path, DEVICE, {"RSSI": Variant("n", -56)})
                else:
                    sensor.is_known = True
                    await self._added(sensor.path, sensor.device())
            await asyncio.sleep(_ADVERTISED_EACH_S)

    async def do_Connect(self, call: Call) -> Answer:  # noqa: N802
        sensor = self._sensor(call.path)
        if sensor.connect_error is not None:
            error, sensor.connect_error = sensor.connect_error, None
            raise BluezError("org.bluez.Error.Failed", error)
        if sensor.is_hidden:
            raise BluezError("org.bluez.Error.Failed", "br-connection-page-timeout")
        if sensor.is_paired and sensor.has_forgotten:
            # BlueZ reports this for any link that ends while it is being encrypted.
            raise BluezError("org.bluez.Error.Failed", "br-connection-canceled")
        sensor.is_connected = True
        sensor.connections += 1
        sensor.connected.set()
        if sensor.on_connect is not None:
            sensor.on_connect()
        await self.changed(sensor.path, DEVICE, {"Connected": Variant("b", True)})
        for path, interfaces in sensor.gatt().items():
            await self._added(path, interfaces)
        await self.changed(sensor.path, DEVICE, {"ServicesResolved": Variant("b", True)})
        return NOTHING

    async def do_Disconnect(self, call: Call) -> Answer:  # noqa: N802
        await self.dropped(self._sensor(call.path))
        return NOTHING

    async def do_Pair(self, call: Call) -> Answer:  # noqa: N802
        sensor = self._sensor(call.path)
        failed = BluezError("org.bluez.Error.AuthenticationFailed")
        asked = self.pairing or "RequestAuthorization"
        reply = await self.call_agent(asked, "o", [sensor.path])
        if reply is None or reply.message_type is MessageType.ERROR:
            raise failed
        if asked == "RequestPasskey" and reply.body != [self.passkey]:
            raise failed
        sensor.is_paired, sensor.has_forgotten = True, False
        await self.changed(sensor.path, DEVICE, {"Paired": Variant("b", True)})
        return NOTHING

    async def do_RemoveDevice(self, call: Call) -> Answer:  # noqa: N802
        sensor = self._sensor(call.body[0])
        sensor.is_paired = sensor.is_known = False
        await self._removed(sensor.path, [DEVICE])
        return NOTHING

    async def do_RegisterAgent(self, call: Call) -> Answer:  # noqa: N802
        self.agents[call.sender] = call.body[1]
        self.has_agent.set()
        return NOTHING

    async def do_RequestDefaultAgent(self, _: Call) -> Answer:  # noqa: N802
        return NOTHING

    async def do_UnregisterAgent(self, call: Call) -> Answer:  # noqa: N802
        self.agents.pop(call.sender, None)
        return NOTHING

    async def do_ReadValue(self, call: Call) -> Answer:  # noqa: N802
        sensor, characteristic = self._connected(call)
        if sensor.hangs:
            await asyncio.Event().wait()
        if sensor.deaf_s is not None:
            await sensor.ignore()
        return "ay", [bytes(characteristic.value)], []

    async def do_WriteValue(self, call: Call) -> Answer:  # noqa: N802
        _, characteristic = self._connected(call)
        if characteristic.on_write is not None:
            characteristic.on_write(bytes(call.body[0]))
        return NOTHING

    async def do_StartNotify(self, call: Call) -> Answer:  # noqa: N802
        _, characteristic = self._connected(call)
        characteristic.owners.append(call.sender)
        notifying = {"Notifying": Variant("b", True)}
        await self.changed(call.path, CHARACTERISTIC, notifying)
        return NOTHING

    async def do_StopNotify(self, call: Call) -> Answer:  # noqa: N802
        _, characteristic = self._connected(call)
        if call.sender in characteristic.owners:
            characteristic.owners.remove(call.sender)
        return NOTHING

    async def do_AcquireNotify(self, call: Call) -> Answer:  # noqa: N802
        _, characteristic = self._connected(call)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        characteristic.pipe = ours
        asyncio.get_running_loop().call_later(1.0, theirs.close)
        return "hq", [0, 247], [theirs.fileno()]

    async def do_RestartUnit(self, call: Call) -> Answer:  # noqa: N802
        self.units.append(call.body[0])
        if self.on_restart is not None:
            self._spawn(self.on_restart())
        return "o", ["/org/freedesktop/systemd1/job/1"], []

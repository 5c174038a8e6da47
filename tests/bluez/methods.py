"""The methods of the simulated org.bluez, as clients call them."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from dbus_fast import ErrorType, Message, MessageType, Variant

from tests.bluez.calls import NOTHING, Answer, BluezError, Call
from tests.bluez.objects import CHARACTERISTIC, DEVICE, FakeSensor, Interfaces

ADAPTER: Final = "/org/bluez/hci0"
ADAPTER_INTERFACE: Final = "org.bluez.Adapter1"
_ADVERTISED_EACH_S: Final = 0.02


class BluezHost(Protocol):
    """The bluetoothd whose methods are called: its state, and its signals."""

    sensors: list[FakeSensor]
    is_powered: bool
    has_adapter: bool
    agents: dict[str, str]
    has_agent: asyncio.Event
    passkey: int
    pairing: str | None
    units: list[str]
    on_restart: Callable[[], Awaitable[None]] | None
    on_power_off: Callable[[], None] | None
    discovering: set[str]

    def objects(self) -> dict[str, Interfaces]:
        """Return every object that clients see now."""
        ...

    def spawn(self, work: Any) -> None:
        """Run *work* until the bluetoothd is killed."""
        ...

    async def added(self, path: str, interfaces: Interfaces) -> None:
        """Announce an object."""
        ...

    async def removed(self, path: str, interfaces: list[str]) -> None:
        """Announce that an object is gone."""
        ...

    async def changed(self, path: str, interface: str, values: dict[str, Variant]) -> None:
        """Announce changed properties."""
        ...

    async def dropped(self, sensor: FakeSensor) -> None:
        """End the connection of *sensor*."""
        ...

    async def call_agent(self, member: str, signature: str, body: list[Any]) -> Message | None:
        """Call the pairing agent that registered last."""
        ...


class BluezMethods:
    """
    Answers each call: `do_NAME` is the method NAME of BlueZ or systemd.

    Args:
        host: Whose methods they are.
    """

    def __init__(self, host: BluezHost) -> None:
        self._host = host

    def _sensor(self, path: str) -> FakeSensor:
        for sensor in self._host.sensors:
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
        return "a{oa{sa{sv}}}", [self._host.objects()], []

    async def do_Set(self, call: Call) -> Answer:  # noqa: N802
        interface, name, value = call.body
        if interface == ADAPTER_INTERFACE and name == "Powered":
            if not self._host.has_adapter:
                raise BluezError(ErrorType.UNKNOWN_OBJECT.value)
            if not value.value:
                for sensor in self._host.sensors:
                    await self._host.dropped(sensor)
                if self._host.on_power_off is not None:
                    self._host.on_power_off()
            self._host.is_powered = value.value
            await self._host.changed(ADAPTER, interface, {"Powered": value})
        return NOTHING

    async def do_SetDiscoveryFilter(self, _: Call) -> Answer:  # noqa: N802
        return NOTHING

    async def do_StartDiscovery(self, call: Call) -> Answer:  # noqa: N802
        if not self._host.is_powered:
            raise BluezError("org.bluez.Error.NotReady")
        self._host.discovering.add(call.sender)
        self._host.spawn(self._advertise(call.sender))
        return NOTHING

    async def do_StopDiscovery(self, call: Call) -> Answer:  # noqa: N802
        self._host.discovering.discard(call.sender)
        return NOTHING

    async def _advertise(self, listener: str) -> None:
        while listener in self._host.discovering:
            for sensor in self._host.sensors:
                if sensor.is_hidden or sensor.is_connected:
                    continue
                if sensor.is_known:
                    await self._host.changed(sensor.path, DEVICE, {"RSSI": Variant("n", -56)})
                else:
                    sensor.is_known = True
                    await self._host.added(sensor.path, sensor.device())
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
        await self._host.changed(sensor.path, DEVICE, {"Connected": Variant("b", True)})
        for path, interfaces in sensor.gatt().items():
            await self._host.added(path, interfaces)
        await self._host.changed(sensor.path, DEVICE, {"ServicesResolved": Variant("b", True)})
        return NOTHING

    async def do_Disconnect(self, call: Call) -> Answer:  # noqa: N802
        await self._host.dropped(self._sensor(call.path))
        return NOTHING

    async def do_Pair(self, call: Call) -> Answer:  # noqa: N802
        sensor = self._sensor(call.path)
        failed = BluezError("org.bluez.Error.AuthenticationFailed")
        asked = self._host.pairing or "RequestAuthorization"
        reply = await self._host.call_agent(asked, "o", [sensor.path])
        if reply is None or reply.message_type is MessageType.ERROR:
            raise failed
        if asked == "RequestPasskey" and reply.body != [self._host.passkey]:
            raise failed
        sensor.is_paired, sensor.has_forgotten = True, False
        await self._host.changed(sensor.path, DEVICE, {"Paired": Variant("b", True)})
        return NOTHING

    async def do_RemoveDevice(self, call: Call) -> Answer:  # noqa: N802
        sensor = self._sensor(call.body[0])
        sensor.is_paired = sensor.is_known = False
        await self._host.removed(sensor.path, [DEVICE])
        return NOTHING

    async def do_RegisterAgent(self, call: Call) -> Answer:  # noqa: N802
        self._host.agents[call.sender] = call.body[1]
        self._host.has_agent.set()
        return NOTHING

    async def do_RequestDefaultAgent(self, _: Call) -> Answer:  # noqa: N802
        return NOTHING

    async def do_UnregisterAgent(self, call: Call) -> Answer:  # noqa: N802
        self._host.agents.pop(call.sender, None)
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
        await self._host.changed(call.path, CHARACTERISTIC, notifying)
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
        self._host.units.append(call.body[0])
        if self._host.on_restart is not None:
            self._host.spawn(self._host.on_restart())
        return "o", ["/org/freedesktop/systemd1/job/1"], []

"""
Pairing: our own agent at BlueZ, which answers for as long as an enrolment window is open.

Without an agent nothing pairs, not even a sensor that asks for no passkey. With one that always
says yes, anybody might. So it stands only while an operator enrols one sensor, answers for that
sensor alone, and says no to everything else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from dbus_fast import DBusError
from dbus_fast.annotations import DBusObjectPath, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

from edge_agent.bluetooth.errors import LinkError, StackError
from edge_agent.bluetooth.radio import bluez
from edge_agent.bluetooth.radio.client import Radio, connected, forget
from edge_agent.bluetooth.radio.scanner import find
from runtime.errors import ConfigError

AGENT_PATH: Final = "/org/vitalveil/agent"
_MANAGER: Final = "org.bluez.AgentManager1"
_REJECTED: Final = "org.bluez.Error.Rejected"

AskPasskey = Callable[[], Awaitable[int | None]]
"""Returns what the sensor shows; None when nobody knows."""


class PairingAgent(ServiceInterface):
    """
    org.bluez.Agent1 for one sensor.

    Args:
        sensor: Its address.

        ask: Learns the passkey; None for a machine without a keyboard, which pairs only with
            sensors that have no display.
    """

    def __init__(self, sensor: str, ask: AskPasskey | None) -> None:
        super().__init__("org.bluez.Agent1")
        self._tail = "dev_" + sensor.upper().replace(":", "_")
        self._ask = ask
        self.was_asked = False
        """Whether the sensor wanted something of us."""

    @property
    def capability(self) -> str:
        """What we can do, as BlueZ writes it."""
        return "NoInputNoOutput" if self._ask is None else "KeyboardOnly"

    def _check(self, device: str) -> None:
        self.was_asked = True
        if not device.upper().endswith(self._tail.upper()):
            raise DBusError(_REJECTED, "not the sensor that is being enrolled")

    async def _passkey(self, device: str) -> int:
        self._check(device)
        passkey = await self._ask() if self._ask is not None else None
        if passkey is None:
            raise DBusError(_REJECTED, "there is no passkey")
        return passkey

    @dbus_method(name="Release")
    def release(self) -> None:
        """BlueZ needs us no more."""

    @dbus_method(name="Cancel")
    def cancel(self) -> None:
        """BlueZ has given up what it asked."""

    @dbus_method(name="RequestPasskey")
    async def request_passkey(self, device: DBusObjectPath) -> DBusUInt32:
        """Return the passkey that the sensor shows."""
        return await self._passkey(device)

    @dbus_method(name="RequestPinCode")
    async def request_pin_code(self, device: DBusObjectPath) -> DBusStr:
        """Return the same, in the words of an older standard."""
        return f"{await self._passkey(device):06}"

    @dbus_method(name="RequestAuthorization")
    def request_authorization(self, device: DBusObjectPath) -> None:
        """Let a sensor pair that asks for no passkey."""
        self._check(device)

    @dbus_method(name="RequestConfirmation")
    def request_confirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> None:
        """Say no: two displays are to be compared, and we have none."""
        self._check(device)
        raise DBusError(_REJECTED, "there is nobody to compare")

    @dbus_method(name="AuthorizeService")
    def authorize_service(self, device: DBusObjectPath, uuid: DBusStr) -> None:
        """Say no: a sensor serves, it does not use."""
        self._check(device)
        raise DBusError(_REJECTED, "no service of ours is for sensors")

    @dbus_method(name="DisplayPasskey")
    def display_passkey(
        self, device: DBusObjectPath, passkey: DBusUInt32, entered: DBusUInt16
    ) -> None:
        """Do nothing: there is no display."""
        self._check(device)


@contextlib.asynccontextmanager
async def registered(agent: PairingAgent) -> AsyncIterator[None]:
    """
    Answer BlueZ through *agent* while the context is open.

    Raises:
        StackError: BlueZ is not there, or does not want us.
    """
    async with bluez.system_bus() as bus:
        bus.export(AGENT_PATH, agent)
        at = (bus, bluez.BLUEZ, "/org/bluez", _MANAGER)
        await bluez.call(*at, "RegisterAgent", "os", [AGENT_PATH, agent.capability])
        # bleak asks to pair over a connection of its own, which has no agent.
        await bluez.call(*at, "RequestDefaultAgent", "o", [AGENT_PATH])
        try:
            yield
        finally:
            with contextlib.suppress(*bluez.FAILURES, StackError):
                await bluez.call(*at, "UnregisterAgent", "o", [AGENT_PATH])


async def pair(
    sensor: str,
    radio: Radio,
    ask: AskPasskey | None,
    *,
    window_s: float,
    anew: bool = False,
) -> None:
    """
    Wait until *sensor* is in reach, and make a bond with it.

    Args:
        sensor: Its address.

        radio: Through which adapter.

        ask: Learns the passkey.

        window_s: How long all of it may take.

        anew: Whether to forget an earlier bond first, which the sensor may have forgotten.

    Raises:
        BluetoothError: There is no bond.
    """
    agent = PairingAgent(sensor, ask)
    try:
        async with asyncio.timeout(window_s), registered(agent):
            if anew:
                await forget(await find(sensor, radio), radio)
            device = await find(sensor, radio)
            async with connected(device, radio) as link:
                await link.hold(link.pair())
    except TimeoutError:
        raise LinkError("nobody came to be paired within the window") from None


def passkey_from(path: Path) -> int:
    """
    Return the passkey that the file *path* holds: six digits.

    Raises:
        ConfigError: It holds none.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    passkey = parse_passkey(text)
    if passkey is None:
        raise ConfigError(
            key="--passkey-file",
            source=str(path),
            problem="it holds no passkey",
            mend="Write the six digits that the sensor shows, and nothing else.",
        )
    return passkey


def parse_passkey(text: str) -> int | None:
    """Return the passkey in *text*; None if it is none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= 6
    return int(text) if is_number else None

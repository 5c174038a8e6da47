"""
Pairing: the agent's own pairing agent at BlueZ, registered while an operator pairs one sensor.

Without a pairing agent nothing can pair, not even a sensor without a passkey. With one that
accepts everything, any device could. So it is registered only while an operator pairs one sensor,
answers for that sensor alone, and rejects all others.
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
from runtime import files
from runtime.errors import ConfigError, unusable

AGENT_PATH: Final = "/org/vitalveil/agent"
_MANAGER: Final = "org.bluez.AgentManager1"
_REJECTED: Final = "org.bluez.Error.Rejected"

AskPasskey = Callable[[], Awaitable[int | None]]
"""Returns the digits that the sensor shows; None if they are not known."""


class PairingAgent(ServiceInterface):
    """
    org.bluez.Agent1 for one sensor.

    Args:
        sensor: The address of the sensor.

        ask: Returns the passkey; None for pairing without a passkey, which only sensors without
            a display accept.
    """

    def __init__(self, sensor: str, ask: AskPasskey | None) -> None:
        super().__init__("org.bluez.Agent1")
        self._tail = "dev_" + sensor.upper().replace(":", "_")
        self._ask = ask
        self.was_asked = False
        """Whether the sensor asked for something."""

    @property
    def capability(self) -> str:
        """The IO capability of this agent, in the words of BlueZ."""
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
        """BlueZ no longer needs this agent."""

    @dbus_method(name="Cancel")
    def cancel(self) -> None:
        """BlueZ has cancelled its request."""

    @dbus_method(name="RequestPasskey")
    async def request_passkey(self, device: DBusObjectPath) -> DBusUInt32:
        """Return the passkey that the sensor shows."""
        return await self._passkey(device)

    @dbus_method(name="RequestPinCode")
    async def request_pin_code(self, device: DBusObjectPath) -> DBusStr:
        """Return the passkey as a string, for pairing before Bluetooth 2.1."""
        return f"{await self._passkey(device):06}"

    @dbus_method(name="RequestAuthorization")
    def request_authorization(self, device: DBusObjectPath) -> None:
        """Accept a sensor that asks for no passkey."""
        self._check(device)

    @dbus_method(name="RequestConfirmation")
    def request_confirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> None:
        """Reject: two displays would have to be compared, and there is none here."""
        self._check(device)
        raise DBusError(_REJECTED, "no person is there to compare the digits")

    @dbus_method(name="AuthorizeService")
    def authorize_service(self, device: DBusObjectPath, uuid: DBusStr) -> None:
        """Reject: a sensor offers services, and uses none of this host."""
        self._check(device)
        raise DBusError(_REJECTED, "no service of ours is for sensors")

    @dbus_method(name="DisplayPasskey")
    def display_passkey(
        self, device: DBusObjectPath, passkey: DBusUInt32, entered: DBusUInt16
    ) -> None:
        """Do nothing, because there is no display."""
        self._check(device)


@contextlib.asynccontextmanager
async def registered(agent: PairingAgent) -> AsyncIterator[None]:
    """
    Register *agent* at BlueZ while the context is open.

    Raises:
        StackError: BlueZ cannot be reached, or refuses the registration.
    """
    async with bluez.system_bus() as bus:
        bus.export(AGENT_PATH, agent)
        at = (bus, bluez.BLUEZ, "/org/bluez", _MANAGER)
        await bluez.call(*at, "RegisterAgent", "os", [AGENT_PATH, agent.capability])
        # bleak requests pairing over its own connection, which has no pairing agent.
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
    Wait until *sensor* is in reach, and pair with it.

    Args:
        sensor: The address of the sensor.

        radio: The adapter to use.

        ask: Returns the passkey; None for pairing without a passkey.

        window_s: How long everything may take, in seconds.

        anew: Whether to remove an earlier bond first, which the sensor may have lost.

    Raises:
        BluetoothError: The sensor was not paired.
    """
    agent = PairingAgent(sensor, ask)
    try:
        async with asyncio.timeout(window_s), registered(agent):
            if anew:
                await forget(await find(sensor, radio), radio)
            device = await find(sensor, radio)
            async with connected(device, radio, host_is_up=lambda: True) as link:
                await link.hold(link.pair())
    except TimeoutError:
        raise LinkError(
            "the sensor did not pair in time. Put it into pairing mode, and try again"
        ) from None


def passkey_from(path: Path) -> int:
    """
    Return the passkey in the file *path*: six digits.

    Raises:
        ConfigError: The file holds no passkey.
    """
    try:
        text = files.read_secret(path).decode("ascii").strip()
    except OSError as exc:
        raise unusable(path, exc, key="--passkey-file") from None
    except UnicodeDecodeError:
        text = ""
    passkey = parse_passkey(text)
    if passkey is None:
        raise ConfigError(
            key="--passkey-file",
            source=str(path),
            problem="the file does not hold a passkey",
            remedy="Write the six digits that the sensor shows, and nothing else.",
        )
    return passkey


def parse_passkey(text: str) -> int | None:
    """Return the passkey in *text*; None unless the text is six digits."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= 6
    return int(text) if is_number else None

"""The Bluetooth adapter of a gateway: a Bumble central that can simulate the failures of BlueZ."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Final

from bleak.exc import BleakDBusError
from bumble import core as bumble_core
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration
from bumble.hci import Address
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import TransportSink, TransportSource

from simulators.sensor.device.virtual_radio import RadioMedium, VirtualRadio

_ADDRESS: Final = "F0:00:00:00:00:99"


class _Keyboard(PairingDelegate):
    """A pairing agent that types the passkey that a sensor shows."""

    def __init__(self, passkey: int) -> None:
        super().__init__(PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
        self._passkey = passkey

    async def get_number(self) -> int | None:
        return self._passkey


class Adapter:
    """
    A radio that several scanners and clients share, as they share bluetoothd.

    After `switch_on` it works; its methods and attributes simulate failures.
    """

    def __init__(self) -> None:
        self.passkey: int | None = None
        """The passkey that the pairing agent types; None for an agent without a keyboard."""
        self.has_agent = True
        """
        Whether there is a pairing agent. Without one nothing pairs, not even without a
        passkey.
        """
        self.error: str | None = None
        """
        While set, every call fails with this D-Bus error, for instance
        org.bluez.Error.InProgress.
        """
        self.connects = 0
        self.scans = 0
        self.registrations: Counter[tuple[str, str]] = Counter()
        """
        The registrations for notifications that were made and not released, by address
        and UUID.
        """
        self._device: Device | None = None
        self._radio: VirtualRadio | None = None
        self._scanning = 0
        self._connecting = asyncio.Lock()
        self._answers = asyncio.Event()
        self._answers.set()

    @property
    def device(self) -> Device:
        """Bumble's device of this adapter."""
        assert self._device is not None, "the adapter is not switched on"
        return self._device

    async def switch_on(self, air: RadioMedium) -> None:
        """Switch on, and receive the radios of *air*."""
        self._radio = radio = air.radio("adapter")
        await self.switch_on_at(radio, radio)

    async def switch_on_at(self, source: TransportSource, sink: TransportSink) -> None:
        """Switch on, and receive through the controller behind *source* and *sink*."""
        self._device = Device.from_config_with_hci(
            DeviceConfiguration(name="gateway", address=Address(_ADDRESS)), source, sink
        )
        self._device.pairing_config_factory = lambda _: self._pairing()
        await self._device.power_on()

    async def switch_off(self) -> None:
        """Switch off: drop every connection and send nothing."""
        for connection in list(self.device.connections.values()):
            await connection.disconnect()
        await self.device.power_off()

    def take_address(self, address: str) -> None:
        """Send from *address* from now on, as Linux does when it scans; connections remain."""
        assert self._radio is not None
        self._radio.random_address = Address(address)

    def hang(self) -> None:
        """Let no call return any more, as when bluetoothd was killed without notice."""
        self._answers.clear()

    def recover(self) -> None:
        """End all simulated failures."""
        self._answers.set()
        self.error = None

    async def answer(self) -> None:
        """Return when the adapter works; every call of the backend waits here."""
        await self._answers.wait()
        if self.error is not None:
            raise BleakDBusError(self.error, [])

    async def start_scan(self, heard: Callable[[Advertisement], None]) -> None:
        """Report advertisements to *heard*."""
        await self.answer()
        self.device.on(Device.EVENT_ADVERTISEMENT, heard)
        self._scanning += 1
        self.scans += 1
        if self._scanning == 1:
            await self.device.start_scanning(filter_duplicates=False)

    async def stop_scan(self, heard: Callable[[Advertisement], None]) -> None:
        """Stop reporting to *heard*."""
        self.device.remove_listener(Device.EVENT_ADVERTISEMENT, heard)
        self._scanning -= 1
        if self._scanning == 0:
            await self.device.stop_scanning()
        await self.answer()

    async def connect(self, address: str, timeout_s: float) -> Connection:
        """Connect to *address*; only one attempt runs at a time, as with one radio."""
        await self.answer()
        async with asyncio.timeout(timeout_s), self._connecting:
            self.connects += 1
            connecting = asyncio.ensure_future(self.device.connect(Address(address), timeout=None))
            try:
                return await asyncio.shield(connecting)
            except asyncio.CancelledError:
                await self._abandon(connecting)
                raise

    async def _abandon(self, connecting: "asyncio.Future[Connection]") -> None:
        # The controller must cancel it; otherwise the next connection waits for this one for ever.
        # If it was made in the meantime, there is nothing to cancel.
        with contextlib.suppress(bumble_core.BaseBumbleError):
            await self.device.cancel_connection()  # type: ignore[no-untyped-call]  # their gap
        with contextlib.suppress(bumble_core.BaseBumbleError):
            await (await connecting).disconnect()

    def _pairing(self) -> PairingConfig:
        if self.passkey is None:
            return PairingConfig(mitm=False, delegate=PairingDelegate())
        return PairingConfig(mitm=True, delegate=_Keyboard(self.passkey))

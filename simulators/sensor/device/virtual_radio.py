"""The medium between the radios of one process: each radio receives what the others send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from bumble import hci
from bumble.controller import Controller
from bumble.core import BaseBumbleError, PhysicalTransport
from bumble.link import LocalLink
from bumble.transport import open_transport
from bumble.transport.common import TransportSink, TransportSource
from usb1 import USBError  # type: ignore[import-untyped]  # it has no stubs

from simulators.errors import PortError

# Where a kernel is the host, Bumble answers the enhanced commands of these features with plain
# events, and a connection never comes up (google/bumble#841).
_HIDDEN_FEATURES: Final = hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING


# A kernel ignores a controller without an address.
_PUBLIC: Final = "C0:FF:EE:00:00:FF"


@contextlib.asynccontextmanager
async def open_port(name: str) -> AsyncIterator[tuple[TransportSource, TransportSink]]:
    """
    Open an HCI port by Bumble's name for it: vhci, usb:0, tcp-server:HOST:PORT.

    Raises:
        PortError: There is no such port, or it cannot be opened.
    """
    try:
        transport = await open_transport(name)
    except (OSError, ValueError, AssertionError, BaseBumbleError, USBError) as error:
        raise PortError(type(error).__name__) from error
    try:
        yield transport.source, transport.sink
    finally:
        await transport.close()


class _Link(LocalLink):
    """
    Carries data under the address with which its connection was made.

    Bumble 0.0.236 stamps data with the sender's present random address. Linux takes a new address
    for each scan, so that after a scan a connection would carry nothing any more.
    """

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        # Data for a radio that has just been removed are lost, as on the air.
        if connection is not None and receiver is not None:
            asyncio.get_running_loop().call_soon(
                receiver.on_link_acl_data, connection.self_address, transport, data
            )


class VirtualRadio(Controller):
    """
    Bumble's virtual controller with a working command that cancels a connection.

    Bumble 0.0.236 accepts that command and does nothing, so that every later command to connect
    is refused.
    """

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        # Core specification, volume 4, part E, 7.8.13: the event comes after the command has
        # ended.
        asyncio.get_running_loop().call_soon(
            self.send_hci_packet, _cancelled(pending.peer_address)
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)


def _cancelled(peer: hci.Address) -> hci.HCI_LE_Connection_Complete_Event:
    return hci.HCI_LE_Connection_Complete_Event(
        status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
        connection_handle=0,
        role=hci.Role.CENTRAL,
        peer_address_type=peer.address_type,
        peer_address=peer,
        connection_interval=0,
        peripheral_latency=0,
        supervision_timeout=0,
        central_clock_accuracy=0,
    )


class RadioMedium:
    """Radios that receive each other, and no others."""

    def __init__(self) -> None:
        self._link = _Link()  # type: ignore[no-untyped-call]  # Bumble's own gap

    def radio(self, name: str) -> VirtualRadio:
        """Return a new radio for a host in this process."""
        return VirtualRadio(name, link=self._link)

    def attach(self, source: TransportSource, sink: TransportSink) -> VirtualRadio:
        """Return a new radio for the host behind *source* and *sink*."""
        radio = VirtualRadio(
            "host", host_source=source, host_sink=sink, link=self._link, public_address=_PUBLIC
        )
        radio.le_features &= ~_HIDDEN_FEATURES
        return radio

    def remove(self, radio: VirtualRadio) -> None:
        """Remove *radio*: no other radio receives it any more, without any notice."""
        radio.le_legacy_advertiser.stop()
        for advertising in radio.advertising_sets.values():
            advertising.stop()
        self._link.remove_controller(radio)

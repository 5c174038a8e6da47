"""The air between radios of one process: what one sends, the others hear."""

import asyncio
from typing import Final

from bumble import hci
from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

# Where a kernel is the host: Bumble answers the enhanced commands of these features with plain
# events, and a connection is never seen to come up (google/bumble#841).
_HIDDEN_FEATURES: Final = hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING


class _Link(LocalLink):
    """
    Carries data under the address that its connection was made with.

    Bumble 0.0.236 stamps it with the sender's present random address. Linux takes a fresh one
    for each scan, so that after one a connection would carry nothing any more.
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
        # Sent to somebody who has just gone: lost, as on the air.
        if connection is not None and receiver is not None:
            asyncio.get_running_loop().call_soon(
                receiver.on_link_acl_data, connection.self_address, transport, data
            )


class Air:
    """Radios that hear each other, and nobody else."""

    def __init__(self) -> None:
        self._link = _Link()  # type: ignore[no-untyped-call]  # Bumble's own gap

    def radio(self, name: str) -> Controller:
        """Return a new radio, for a host in this process."""
        return Controller(name, link=self._link)

    def remove(self, radio: Controller) -> None:
        """Take *radio* away: nobody hears it any more, and nobody is told."""
        radio.le_legacy_advertiser.stop()
        for advertising in radio.advertising_sets.values():
            advertising.stop()
        self._link.remove_controller(radio)

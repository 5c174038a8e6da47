"""The table of a scan, on a terminal. Nothing is written to disk or to the log."""

import asyncio
from typing import Final

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.scanner import listening
from edge_agent.bluetooth.radio.sightings import Sightings
from edge_agent.ports import Clock

_REDRAW_S: Final = 0.5
_GONE_S: Final = 10.0


async def show(
    sightings: Sightings, radio: Radio, clock: Clock, console: Console, stop: asyncio.Event
) -> None:
    """
    Show the sensors in reach until *stop*.

    Raises:
        BluetoothError: The radio cannot scan.
    """

    def hear(device: BLEDevice, heard: AdvertisementData) -> None:
        sightings.hear(
            device.address, heard.local_name, heard.service_uuids, heard.rssi, now=clock.now()
        )

    with Live(console=console, auto_refresh=False, transient=False) as live:
        async with listening(hear, radio):
            while not stop.is_set():
                live.update(table(sightings, now=clock.now()), refresh=True)
                await _wait(stop)
        live.update(table(sightings, now=clock.now()), refresh=True)


async def _wait(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_REDRAW_S):
            await stop.wait()
    except TimeoutError:
        return


def table(sightings: Sightings, *, now: float) -> Table:
    """Return *sightings* as a table."""
    shown = Table(title="Sensors in reach", caption="Press Ctrl-C to stop. Nothing is stored.")
    shown.add_column("address", no_wrap=True)
    shown.add_column("name", no_wrap=True)
    shown.add_column("can be read", no_wrap=True)
    shown.add_column("dBm", justify="right")
    shown.add_column("heard", justify="right")
    shown.add_column("ago", justify="right")
    for sighting in sightings.all():
        ago_s = max(0.0, now - sighting.heard_at)
        cells = (
            sighting.address,
            sighting.name,
            ", ".join(sighting.kinds),
            str(sighting.rssi_dbm),
            str(sighting.heard),
            f"{ago_s:.0f} s",
        )
        # As text, not as markup, because the sensor chooses its name.
        shown.add_row(*map(Text, cells), style="dim" if ago_s > _GONE_S else None)
    return shown

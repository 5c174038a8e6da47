"""`vitalveil agent scan` and `vitalveil agent pair`, for a person in front of the gateway."""

import argparse
import asyncio
import getpass
import logging
import re
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from edge_agent.bluetooth.errors import (
    BluetoothError,
    BondRefused,
    NotAuthorised,
    PoweredOff,
    StackError,
)
from edge_agent.bluetooth.radio import pairing, scan_view
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.sightings import Sightings
from edge_agent.sources.clock import SystemClock
from runtime.command_line import output
from runtime.errors import ConfigError
from runtime.process import stop_requested

_ADDRESS: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


def run(arguments: argparse.Namespace) -> int:
    """
    Run the command in *arguments*; return the exit code.

    Raises:
        ConfigError: An argument is wrong.
    """
    radio = Radio(adapter=arguments.adapter)
    # Messages of bleak name sensors.
    logging.getLogger("bleak").setLevel(logging.CRITICAL)
    work = _scan(arguments, radio) if arguments.command == "scan" else _pair(arguments, radio)
    try:
        return asyncio.run(work)
    except BluetoothError as exc:
        output.fail("vitalveil agent", _explain(exc), as_json=arguments.json)
        return 1


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ConfigError(
            key="ADDRESS",
            source="the command line",
            problem="this is not a Bluetooth address",
            remedy="Write it as C0:FF:EE:00:00:01, as `vitalveil agent scan` shows it.",
        )
    return text.upper()


async def _scan(arguments: argparse.Namespace, radio: Radio) -> int:
    sightings = Sightings(everything=arguments.all)
    async with stop_requested() as stop:
        if arguments.seconds is not None:
            asyncio.get_running_loop().call_later(arguments.seconds, stop.set)
        await scan_view.show(sightings, radio, SystemClock(), Console(), stop)
    return 0


async def _pair(arguments: argparse.Namespace, radio: Radio) -> int:
    sensor, ask = _address(arguments.sensor), _asker(arguments)
    # With --json, standard output holds the result and nothing besides.
    told = sys.stderr if arguments.json else sys.stdout
    waiting = f"Waiting up to {arguments.window:g} s for the sensor. Switch it on, or wake it up."
    print(waiting, file=told)
    await pairing.pair(sensor, radio, ask, window_s=arguments.window, anew=arguments.anew)
    if arguments.json:
        output.show({"sensor": sensor, "paired": True}, as_json=True)
        return 0
    print("Paired. The agent listens to the sensor once a lease binds it to a person.")
    return 0


def _asker(arguments: argparse.Namespace) -> pairing.AskPasskey | None:
    if arguments.no_passkey:
        return None
    path: Path | None = arguments.passkey_file
    if path is None:
        return _ask_person
    passkey = pairing.passkey_from(path)

    async def from_file() -> int | None:
        return passkey

    return from_file


async def _ask_person() -> int | None:
    """Ask for the digits that the sensor shows, without an echo on this terminal."""
    text = await asyncio.to_thread(getpass.getpass, "Passkey that the sensor shows: ")
    return pairing.parse_passkey(text.strip())


def _explain(error: BluetoothError) -> str:
    if isinstance(error, NotAuthorised):
        return "the sensor did not pair. Check the passkey, and that the sensor is in pairing mode"
    if isinstance(error, BondRefused):
        return "the sensor has forgotten its bond with this host. Pair it again with --anew"
    if isinstance(error, PoweredOff):
        return "the Bluetooth adapter is switched off. Run `bluetoothctl power on`"
    if isinstance(error, StackError):
        return (
            "Bluetooth cannot be used on this machine. Check that bluetoothd runs,"
            " that there is an adapter, and that this user is in the group bluetooth"
        )
    return str(error)

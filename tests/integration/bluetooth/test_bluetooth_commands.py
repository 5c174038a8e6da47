"""The commands scan and pair for a person at the gateway, with a simulated org.bluez."""

import asyncio
import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from edge_agent.bluetooth.errors import NotAuthorised
from edge_agent.bluetooth.radio import scan_view
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.pairing import pair
from edge_agent.bluetooth.radio.sightings import Sightings
from edge_agent.sources.clock import SystemClock
from tests.bluez.sensors import STRAP, Strap
from tests.fakes.edge_agent import agent_environ
from tests.fixtures.bluez import Machine


def strap_on(machine: Machine, address: str = STRAP) -> Strap:
    """Return a strap that measures."""
    strap = Strap(address)
    machine.bluetoothd.add(strap)
    strap.wear()
    return strap


async def command(*arguments: str) -> tuple[int, str, str]:
    """Run `vitalveil agent`; return its exit code and output."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge_agent",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**agent_environ(), "COLUMNS": "120"},
    )
    out, err = await asyncio.wait_for(child.communicate(), 30)
    return child.returncode or 0, out.decode(), err.decode()


async def test_pairing_asks_for_the_passkey(machine: Machine) -> None:
    """Pairing asks for the passkey that the sensor shows, and makes a bond."""
    strap = strap_on(machine)
    strap.needs_pairing = True
    machine.bluetoothd.pairing = "RequestPasskey"

    async def ask() -> int:
        return 123456

    await pair(STRAP, Radio(), ask, window_s=10)

    assert strap.is_paired
    assert not machine.bluetoothd.agents


async def test_a_bond_that_the_sensor_forgot_is_made_anew(machine: Machine) -> None:
    """An existing bond counts as paired, unless --anew removes it first."""
    strap_on(machine).is_paired = True

    await pair(STRAP, Radio(), None, window_s=10)
    assert machine.bluetoothd.calls["Pair"] == 0
    await pair(STRAP, Radio(), None, window_s=10, anew=True)
    assert machine.bluetoothd.calls["Pair"] == 1


async def test_whoever_pairs_a_sensor_that_forgot_its_bond_is_told_how(machine: Machine) -> None:
    """If the sensor has lost its bond, the command tells the person how to pair it again."""
    strap = strap_on(machine)
    strap.is_paired = strap.has_forgotten = True

    code, _, err = await command("pair", STRAP, "--no-passkey")
    assert (code, "--anew" in err) == (1, True)
    code, _, _ = await command("pair", STRAP, "--no-passkey", "--anew")
    assert (code, strap.has_forgotten) == (0, False)


@pytest.mark.parametrize("passkey", [None, 1])
async def test_a_wrong_passkey_makes_no_bond(machine: Machine, passkey: int | None) -> None:
    """A wrong passkey makes no bond, and the pairing agent is unregistered."""
    strap = strap_on(machine)
    machine.bluetoothd.pairing = "RequestPasskey"

    async def ask() -> int | None:
        return passkey

    with pytest.raises(NotAuthorised):
        await pair(STRAP, Radio(), ask, window_s=10)

    assert not strap.is_paired
    assert not machine.bluetoothd.agents


async def test_a_sensor_without_a_display_pairs_without_a_keyboard(machine: Machine) -> None:
    """Without a passkey the pairing agent declares that it has neither display nor keyboard."""
    strap = strap_on(machine)

    await pair(STRAP, Radio(), None, window_s=10)

    assert strap.is_paired


async def test_another_sensor_cannot_use_the_window(machine: Machine) -> None:
    """While one sensor is being paired, requests of other sensors are rejected."""
    strap = strap_on(machine)
    strap.is_hidden = True
    window = asyncio.create_task(pair(STRAP, Radio(), None, window_s=10))
    async with asyncio.timeout(5):
        await machine.bluetoothd.has_agent.wait()

    stranger = "/org/bluez/hci0/dev_C0_FF_EE_00_00_99"
    reply = await machine.bluetoothd.call_agent("RequestAuthorization", "o", [stranger])
    strap.is_hidden = False
    await window

    assert reply is not None
    assert reply.error_name == "org.bluez.Error.Rejected"
    assert strap.is_paired


async def test_a_scan_shows_who_is_in_reach(machine: Machine) -> None:
    """A scan shows the readable sensors in reach, with names that cannot control the terminal."""
    strap = strap_on(machine)
    strap.name = "\x1b[2J[bold]strap"
    shown = io.StringIO()
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stop.set)

    console = Console(file=shown, width=120, force_terminal=True)
    await scan_view.show(Sightings(), Radio(), SystemClock(), console, stop)

    assert STRAP in shown.getvalue()
    assert "heart rate" in shown.getvalue()
    assert "�[2J[bold]strap" in shown.getvalue()
    assert "\x1b[2J" not in shown.getvalue()
    assert not strap.connections


async def test_a_scan_without_bluetooth_says_what_is_missing(machine: Machine) -> None:
    """Without bluetoothd the command fails, and says what to check."""
    await machine.bluetoothd.kill()

    code, _, err = await command("scan", "--seconds", "1")

    assert code == 1
    assert "Check that bluetoothd runs" in err


async def test_the_commands_need_no_settings(machine: Machine, tmp_path: Path) -> None:
    """Scan and pair work before the enrolment of the gateway, with a passkey from a file."""
    strap = strap_on(machine)
    machine.bluetoothd.pairing = "RequestPasskey"
    passkey = tmp_path / "passkey"
    passkey.touch(mode=0o600)
    passkey.write_text("123456\n")

    code, out, _ = await command("scan", "--seconds", "1")
    assert code == 0
    assert STRAP in out

    code, out, err = await command("pair", STRAP, "--passkey-file", str(passkey))
    assert (code, err) == (0, "")
    assert strap.is_paired


async def test_a_passkey_file_must_hold_one(machine: Machine, tmp_path: Path) -> None:
    """An invalid passkey file is reported before the command waits for the sensor."""
    wrong = tmp_path / "passkey"
    wrong.touch(mode=0o600)
    wrong.write_text("hello")

    code, _, err = await command("pair", STRAP, "--passkey-file", str(wrong))

    assert code == 2
    assert "does not hold a passkey" in err
    assert not machine.bluetoothd.agents

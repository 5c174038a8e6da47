"""`vitalveil simulate sensor` as a process, with a host behind a socket."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from edge_agent.gatt import heart_rate
from simulators.people.people import pick
from simulators.sensor.device.virtual_radio import open_port
from simulators.sensor.kinds import cgm, glucose_meter, heart_rate_strap, oximeter
from simulators.sensor.options import SensorKind, SensorOptions
from simulators.sensor.sensor_factory import build
from tests.bluetooth.central import RecordReader, collect, connected
from tests.bluetooth.meters import ALL, DONE
from tests.fixtures.link import AirLink


class Program:
    """The running command, and the adapter of a host that uses its controller."""

    def __init__(self, process: asyncio.subprocess.Process, link: AirLink) -> None:
        self.process = process
        self.link = link

    async def stop(self) -> list[dict[str, object]]:
        """Stop the command; return its report."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = await self.process.communicate()
        assert self.process.returncode == 0
        reports: list[dict[str, object]] = json.loads(out)["rows"]
        return reports


@pytest_asyncio.fixture
async def program(run_folder: Path, tmp_path: Path) -> AsyncIterator[Program]:
    """Four invented sensors in another process."""
    port = run_folder / "hci.sock"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "vitalveil", "simulate", "sensor", "--controller", f"unix-server:{port}"),
        *("--source", str(tmp_path), "--seed", "3", "--speed", "10", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while b"on the air" not in (line := await process.stderr.readline()):
                assert line, "it ended"
        async with open_port(f"unix:{port}") as (source, sink):
            link = AirLink()
            await link.adapter.switch_on_at(source, sink)
            yield Program(process, link)
            await link.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.slow
async def test_a_host_reads_all_four_sensors(program: Program) -> None:
    """
    Strap, meter, CGM sensor and oximeter of an invented person answer a host in another
    process.
    """
    link = program.link
    people = pick(None, 1, seed=3)
    worn = build(people, tuple(SensorKind), SensorOptions(seed=3), now=time.time)
    addresses = {one.kind: one.sensor.address for one in worn}

    async with connected(link, addresses[SensorKind.STRAP]) as client:
        rates = await (await collect(client, heart_rate_strap.MEASUREMENT)).wait_for(5)
    async with connected(link, addresses[SensorKind.OXIMETER]) as client:
        await (await collect(client, oximeter.CONTINUOUS)).wait_for(5)
    async with connected(link, addresses[SensorKind.METER]) as client:
        strips = await RecordReader(client, told_by=glucose_meter.MEASUREMENT).open()
        assert await strips.ask(ALL) == DONE
    async with connected(link, addresses[SensorKind.CGM]) as client:
        readings = await RecordReader(client, told_by=cgm.MEASUREMENT).open()
        assert await readings.ask(ALL) == DONE
    reports = await program.stop()

    assert all(40 <= heart_rate.decode(value).heart_rate_bpm <= 200 for value in rates)
    assert len(strips.records.values) == len(strips.contexts.values) >= 4
    assert len(readings.records.values) > 200
    assert {report["address"] for report in reports} == set(addresses.values())


@pytest.mark.slow
async def test_a_host_that_goes_away_ends_the_run(tmp_path: Path, run_folder: Path) -> None:
    """When the host disconnects, the command reports the lost port and exits with 1."""
    port = run_folder / "lost.sock"

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_later(0.3, writer.close)

    arguments = ["sensor", "--controller", f"unix:{port}", "--source", str(tmp_path)]
    async with await asyncio.start_unix_server(hang_up, port):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "vitalveil", "simulate", *arguments),
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            _, err = await process.communicate()

    assert process.returncode == 1
    assert b"the port cannot be used (lost)" in err

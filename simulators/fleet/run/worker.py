"""
A process of a fleet: `python -m simulators.fleet.run.worker JOB`, controlled by JSON lines.

Writes a snapshot each second; reads `{"go": TIME}` and `{"stop": true}`; ends with its input, so
that it never outlives the process that started it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from simulators.fleet.errors import FleetError
from simulators.fleet.report.tally import TallySnapshot
from simulators.fleet.run.driver import Driver
from simulators.fleet.run.meter import raise_file_limit
from simulators.fleet.scenario import plan, roster
from simulators.fleet.scenario.job import Job

_SNAPSHOT_S: Final = 1.0


class WorkerCommand(msgspec.Struct, frozen=True):
    """A command to a worker."""

    go: float | None = None
    """When the first phase begins, seconds since 1970."""
    stop: bool = False


class WorkerMessage(msgspec.Struct, frozen=True):
    """A message of a worker."""

    snapshot: TallySnapshot | None = None
    is_last: bool = False
    error: str | None = None


def main(argv: list[str]) -> int:
    """Play the job in the file that *argv* names; return the exit code."""
    raise_file_limit()
    try:
        job = msgspec.json.decode(Path(argv[0]).read_bytes(), type=Job)
        members = list(roster.read(Path(job.roster)))
        mine = plan.read(Path(job.plan)).of_worker(job.number, job.workers)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_play(job, members, mine))
    except FleetError as exc:
        _say(WorkerMessage(error=str(exc)))
        return 1
    return 0


async def _play(job: Job, members: list[roster.Member], mine: plan.Plan) -> None:
    driver = Driver(job, members, mine)
    orders = await _orders()
    try:
        # A failure ends the process: a fleet that silently played half of its plan would make the
        # system look better than it is.
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(driver.ramp(), name="ramp"),
                group.create_task(driver.turn(), name="turn"),
                group.create_task(_report(driver), name="report"),
            ]
            await _obey(driver, orders)
            last = driver.snapshot()
            for task in beside:
                task.cancel()
    finally:
        await driver.finish()
    _say(WorkerMessage(snapshot=last, is_last=True))


async def _obey(driver: Driver, orders: asyncio.StreamReader) -> None:
    """Obey commands until one says stop, or until the input ends."""
    while line := await orders.readline():
        order = msgspec.json.decode(line, type=WorkerCommand)
        if order.stop:
            return
        if order.go is not None:
            driver.note_idle()
            driver.begin(order.go)


async def _orders() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


async def _report(driver: Driver) -> None:
    while True:
        _say(WorkerMessage(snapshot=driver.snapshot()))
        await asyncio.sleep(_SNAPSHOT_S)


def _say(word: WorkerMessage) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

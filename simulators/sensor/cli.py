"""`vitalveil simulate sensor`: virtual Bluetooth sensors for a gateway that has no patient yet."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import msgspec

from runtime.command_line import output
from simulators.errors import PortError
from simulators.people.people import Person
from simulators.sensor import show
from simulators.sensor.arguments import options_of
from simulators.sensor.sensor_factory import AssignedSensor, build


def run(arguments: argparse.Namespace, people: Sequence[Person]) -> int:
    """Run the sensors of *people* that *arguments* name; return the exit code."""
    worn = build(people, arguments.sensors, options_of(arguments), now=time.time)
    if arguments.dongle is not None and len(worn) != 1:
        _complain(f"a dongle serves one sensor, and these are {len(worn)}: choose with --sensors")
        return 2
    if not arguments.list:
        try:
            asyncio.run(_play(arguments, worn))
        except PortError as error:
            _complain(str(error))
            return 1
    _print(worn, as_json=arguments.json)
    return 0


async def _play(arguments: argparse.Namespace, worn: Sequence[AssignedSensor]) -> None:
    on = (
        show.on_controller(worn, arguments.controller)
        if arguments.dongle is None
        else show.on_dongle(worn[0], arguments.dongle)
    )
    async with on as lost:
        print(f"{len(worn)} sensors are on the air", file=sys.stderr, flush=True)
        await show.until_stopped(lost, arguments.duration)


def _print(worn: Sequence[AssignedSensor], *, as_json: bool) -> None:
    reports = show.report(worn)
    if as_json:
        output.show({"rows": msgspec.to_builtins(reports)}, as_json=True)
        return
    for one in reports:
        books = one.books
        print(
            f"{one.address}  {one.kind:8}  {one.person} ({one.origin}): {books.measured} measured,"
            f" {books.notifications} sent, {books.connections} connections,"
            f" {books.requests} requests, {books.drops} drops"
        )


def _complain(what: str) -> None:
    print(f"vitalveil simulate sensor: {what}", file=sys.stderr)

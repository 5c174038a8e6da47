"""A replay: people are played to agents for a while, and the result is counted."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from runtime.process import stop_requested
from simulators.people.people import Origin, Person
from simulators.replay.player import Player
from simulators.replay.timetable import RecordLog

_HAND_OVER_S: Final = 5.0
"""How long agents may take at the end to fetch the remaining records."""


class ReplayedSensor(msgspec.Struct, frozen=True):
    """The counters of one sensor."""

    person: str
    origin: str
    sensor: str
    kind: str
    books: RecordLog


class ReplayReport(msgspec.Struct, frozen=True):
    """The result of a replay."""

    source: str
    """`recorded`, `persona`, or `recorded+persona`."""
    seconds: float
    handed_over: int
    repeated: int
    values: dict[str, int]
    faults: dict[str, int]
    overrun: int
    pending: int
    """Records that were measured, but not sent before the end."""
    sensors: list[ReplayedSensor]


def source_of(people: Sequence[Person]) -> str:
    """Return the source of a run: `recorded`, `persona`, or `recorded+persona`."""
    origins = {person.origin for person in people}
    return "+".join(origin for origin in Origin if origin in origins)


async def replay(
    people: Sequence[Person],
    agents: Sequence[Path],
    *,
    speed: float,
    max_hz: float,
    duration_s: float | None,
) -> ReplayReport:
    """
    Play *people* to *agents*, for *duration_s* seconds or until a signal to stop; return the
    result.
    """
    player = Player(
        [sensor for person in people for sensor in person.sensors],
        agents,
        speed=speed,
        max_hz=max_hz,
    )
    started = time.monotonic()
    playing = asyncio.create_task(player.run(), name="player")
    async with stop_requested() as stop:
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait(
            [playing, stopping], timeout=duration_s, return_when=asyncio.FIRST_COMPLETED
        )
        stopping.cancel()
    player.finish()
    fetching = asyncio.create_task(player.fetched(), name="fetched")
    await asyncio.wait(
        [fetching, playing], timeout=_HAND_OVER_S, return_when=asyncio.FIRST_COMPLETED
    )
    fetching.cancel()
    playing.cancel()
    await asyncio.wait([playing])
    if not playing.cancelled():
        # The player only ends by cancellation; any other end is a defect and must be seen.
        playing.result()
    return report(people, player, seconds=time.monotonic() - started)


def report(people: Sequence[Person], player: Player, *, seconds: float) -> ReplayReport:
    """Return the counters of *player* as one report."""
    books = player.books
    sensors = [
        ReplayedSensor(
            person.name, person.origin, sensor.address, sensor.kind, books[sensor.address]
        )
        for person in people
        for sensor in person.sensors
    ]
    return ReplayReport(
        source=source_of(people),
        seconds=round(seconds, 3),
        handed_over=sum(s.books.handed_over for s in sensors),
        repeated=sum(s.books.repeated for s in sensors),
        values=_sum([s.books.values for s in sensors]),
        faults=_sum([s.books.faults for s in sensors]),
        overrun=sum(s.books.overrun for s in sensors),
        pending=player.pending,
        sensors=sensors,
    )


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    names = sorted({name for count in counts for name in count})
    return {name: sum(count.get(name, 0) for count in counts) for name in names}

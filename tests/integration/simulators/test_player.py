"""The player on real Unix sockets."""

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from simulators.people.people import VirtualSensor
from simulators.replay.player import Player
from tests.fakes.simulators import ListeningAgent, counting_sensor

A, B = "02:00:00:00:00:0A", "02:00:00:00:00:0B"


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose path is short enough for the address of a socket."""
    with tempfile.TemporaryDirectory(prefix="vv-") as folder:
        yield Path(folder)


@contextlib.asynccontextmanager
async def playing(player: Player) -> AsyncIterator[None]:
    """Run *player* while the context is open."""
    running = asyncio.create_task(player.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert running.cancelled()


def fast_player(sensors: list[VirtualSensor], agents: list[Path]) -> Player:
    """Return a player with a hundred measurements a second of each sensor."""
    return Player(sensors, agents, speed=100.0, max_hz=200.0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds, at most ten seconds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to pass within ten seconds")


async def test_records_arrive_numbered_and_timed(sockets: Path) -> None:
    """Records of a sensor are numbered from 1 and come at a steady pace."""
    agent = ListeningAgent(sockets / "a")
    player = fast_player([counting_sensor(A)], [agent.path])
    async with agent.serving(), playing(player):
        await agent.listen(x02000000000A=0)
        await agent.wait_for(20)

    assert [line["record"] for line in agent.shown] == list(range(1, len(agent.shown) + 1))
    assert [line["value"] for line in agent.shown] == [line["record"] for line in agent.shown]
    first = agent.shown[0]["at_ms"]
    assert [line["at_ms"] - first for line in agent.shown[:20]] == pytest.approx(
        [10 * i for i in range(20)], abs=1
    )
    assert player.books[A].handed_over >= 20
    assert player.books[A].repeated == 0


async def test_only_the_sensors_of_the_lease_are_played(sockets: Path) -> None:
    """Only sensors that the agent listens to are played, and an unknown one is no error."""
    agent = ListeningAgent(sockets / "a")
    player = fast_player([counting_sensor(A), counting_sensor(B)], [agent.path])
    async with agent.serving(), playing(player):
        await agent.listen(x02000000000A=0, x02FFFFFFFFFF=7)
        await agent.wait_for(10)

    assert {line["sensor"] for line in agent.shown} == {A}
    assert player.books[B].first_listen_at_ms is None


async def test_player_waits_for_an_agent_that_comes_later(sockets: Path) -> None:
    """The player waits for agents that start later, and for agents that restart."""
    agent = ListeningAgent(sockets / "a")
    async with playing(fast_player([counting_sensor(A)], [agent.path])):
        for _ in range(2):
            async with agent.serving():
                await agent.listen(x02000000000A=agent.shown[-1]["record"] if agent.shown else 0)
                await agent.wait_for(len(agent.shown) + 5)

    assert [line["record"] for line in agent.shown] == list(range(1, len(agent.shown) + 1))


async def test_reconnect_continues_after_what_the_agent_holds(sockets: Path) -> None:
    """
    After a reconnection, records that the agent lost are sent again, followed by those of its
    absence.
    """
    agent = ListeningAgent(sockets / "a")
    player = fast_player([counting_sensor(A)], [agent.path])
    async with agent.serving(), playing(player):
        await agent.listen(x02000000000A=0)
        await agent.wait_for(10)
        before = {line["record"]: line["at_ms"] for line in agent.shown}
        await agent.hang_up()
        agent.shown.clear()
        await agent.listen(x02000000000A=4)
        await agent.wait_for(60)

    assert [line["record"] for line in agent.shown] == list(range(5, 5 + len(agent.shown)))
    for line in agent.shown[:6]:
        assert line["at_ms"] == before[line["record"]]
    steps = {b["at_ms"] - a["at_ms"] for a, b in itertools.pairwise(agent.shown)}
    assert steps <= {9, 10, 11}
    books = player.books[A]
    assert books.handed_over == books.highest_record
    assert books.repeated >= 6


async def test_sensor_that_is_left_out_stops(sockets: Path) -> None:
    """After a listen message without it, a sensor stops measuring and sending."""
    agent = ListeningAgent(sockets / "a")
    player = fast_player([counting_sensor(A), counting_sensor(B)], [agent.path])
    async with agent.serving(), playing(player):
        await agent.listen(x02000000000A=0, x02000000000B=0)
        await agent.wait_for(20)
        await agent.listen(x02000000000B=0)
        await until(lambda: player.books[A].dropped_at_ms is not None)
        handed_over = player.books[A].handed_over
        await agent.wait_for(len(agent.shown) + 40)

    books = player.books[A]
    assert books.handed_over == handed_over
    assert books.dropped_at_ms is not None
    assert max(x["at_ms"] for x in agent.shown if x["sensor"] == A) <= books.dropped_at_ms
    assert player.books[B].dropped_at_ms is None


async def test_new_listen_message_repeats_nothing(sockets: Path) -> None:
    """A changed set of sensors repeats no record that is already under way on the connection."""
    agent = ListeningAgent(sockets / "a")
    player = fast_player([counting_sensor(A), counting_sensor(B)], [agent.path])
    async with agent.serving(), playing(player):
        await agent.listen(x02000000000A=0)
        await agent.wait_for(20)
        await agent.listen(x02000000000A=3, x02000000000B=0)
        await agent.wait_for(60)

    records = [line["record"] for line in agent.shown if line["sensor"] == A]
    assert records == list(range(1, len(records) + 1))


async def test_two_agents_have_their_own_sensors(sockets: Path) -> None:
    """Each sensor is played only to the agent that listens to it."""
    one, other = ListeningAgent(sockets / "a"), ListeningAgent(sockets / "b")
    player = fast_player([counting_sensor(A), counting_sensor(B)], [one.path, other.path])
    async with one.serving(), other.serving(), playing(player):
        await one.listen(x02000000000A=0)
        await other.listen(x02000000000B=0)
        await one.wait_for(10)
        await other.wait_for(10)
        assert player.connected == 2

    assert {line["sensor"] for line in one.shown} == {A}
    assert {line["sensor"] for line in other.shown} == {B}


async def test_slow_agent_loses_nothing(sockets: Path) -> None:
    """Records for a slow agent wait in the sensor, and not in an unlimited buffer."""
    agent = ListeningAgent(sockets / "a")
    player = Player([counting_sensor(A, step_ms=1)], [agent.path], speed=10.0, max_hz=20_000.0)
    async with agent.serving(), playing(player):
        await agent.listen(x02000000000A=0)
        await agent.wait_for(10)
        agent.is_reading.clear()
        await until(lambda: player.pending >= 2_000)
        player.finish()
        agent.is_reading.set()
        async with asyncio.timeout(10):
            await player.fetched()
        await agent.wait_for(player.books[A].highest_record)

    assert [line["record"] for line in agent.shown] == list(range(1, len(agent.shown) + 1))


@pytest.mark.parametrize("line", [b"hello\n", b'{"listen": 1}\n', b"[" * 2_000_000 + b"\n"])
async def test_agent_that_speaks_nonsense_is_hung_up_on(sockets: Path, line: bytes) -> None:
    """After an invalid message the player drops the connection and connects again."""
    agent = ListeningAgent(sockets / "a")
    async with agent.serving(), playing(fast_player([counting_sensor(A)], [agent.path])):
        with contextlib.suppress(OSError):
            await agent.say(line)
        await agent.connection(2)
        await agent.listen(x02000000000A=0)
        await agent.wait_for(5)

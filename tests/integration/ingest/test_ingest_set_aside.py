"""
An envelope that waits for the result of another flush is decided exactly once, also after a
reconnect and at a stop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import msgspec
import psycopg
import pytest

import ingest.service
from tests.fixtures.ingest import (
    Agent,
    World,
    heart_rate,
    is_conserved,
    metric,
    now_ms,
    settled,
    until,
)
from tests.support.seed_permissions import Seed, change, sow
from wire import topics
from wire.envelope import Body
from wire.policy import Rule
from wire.quantities import Code

pytestmark = [pytest.mark.broker, pytest.mark.database]
_MINUTE = (Rule(Code.HEART_RATE, interval_ms=60_000),)
HOME = Seed(rules=_MINUTE)
WORK = Seed(agent="fedcba9876543210", handle=b"w" * 16, rules=_MINUTE)
_WAITING = """
SELECT FROM pg_stat_activity
WHERE usename = 'vv_ingest' AND datname = current_database() AND wait_event_type = 'Lock'
"""
OUTCOMES = pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "not stored"])


class Relay:
    """A TCP relay in front of the broker, whose connections a test can cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Relay"]:
        """Relay while the context is open."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Abort every connection, without a DISCONNECT packet."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, other_writer]
        await asyncio.gather(_pump(reader, other_writer), _pump(other_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


class Blocked:
    """A flush that cannot go on, because another transaction writes one of its envelopes."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def release(self, *, is_stored: bool) -> None:
        """
        Let the flush go on.

        Args:
            is_stored: Whether the flush can store its first envelope. If not, the other
                transaction commits a conflicting row of the ledger before.
        """
        if is_stored:
            self._connection.rollback()
        else:
            self._connection.commit()


@contextlib.contextmanager
def blocked(world: World, agent: Agent) -> Iterator[Blocked]:
    """Block the flush that contains the first envelope of *agent*, in its transaction."""
    with psycopg.connect(world.database.dsn()) as connection:
        connection.execute(
            "INSERT INTO vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)"
            " VALUES (%s, %s, 1, %s, 1, 0)",
            [agent.name, agent.spool_id, bytes(16)],
        )
        yield Blocked(connection)


def waiting(world: World) -> int:
    """Return how many flushes wait for a lock."""
    return len(world.database.fetch(_WAITING))


def values(world: World) -> list[float]:
    """Return all stored values, in the order of their times."""
    found = world.database.fetch("SELECT value FROM vv.observations ORDER BY time")
    return [float(str(value)) for (value,) in found]


def minute() -> int:
    """Return the start of a minute ten minutes ago, ms since 1970."""
    return now_ms() // 60_000 * 60_000 - 600_000


@contextlib.asynccontextmanager
async def set_aside(
    world: World, home: Agent, work: Agent, start_ms: int
) -> AsyncIterator[Blocked]:
    """
    Set aside a reading of *work*: it waits for a reading of *home* in the same interval, whose
    flush is blocked.
    """
    with blocked(world, home) as block:
        await home.publish(home.seal(heart_rate(71, start_ms=start_ms)))
        await until(lambda: waiting(world) == 1)
        second = heart_rate(70, handle=WORK.handle, start_ms=start_ms + 1000)
        await work.publish(work.seal(second))
        # This reading has no conflict; when it is stored, the reading before was looked at too.
        other = heart_rate(60, handle=WORK.handle, start_ms=start_ms - 120_000)
        await work.publish(work.seal(other))
        await until(lambda: work.settled(2))
        assert not work.settled(1)
        yield block


@OUTCOMES
async def test_reading_that_a_change_brings_into_conflict_is_decided_again(
    world: World, is_stored: bool
) -> None:
    """A reading that conflicts with a reading not yet stored is decided after that one's flush."""
    sow(world.database, HOME, msgspec.structs.replace(WORK, rules=()))
    start_ms = minute()
    async with (
        world.agent(HOME.agent) as home,
        world.agent(WORK.agent) as work,
        world.running() as app,
    ):
        with blocked(world, home) as block:
            with change(world.database) as (connection, epoch):
                await home.publish(home.seal(heart_rate(71, start_ms=start_ms)))
                await until(lambda: waiting(world) == 1)
                # The handle is still unknown, so this reading has no interval and no conflict.
                second = heart_rate(70, handle=WORK.handle, start_ms=start_ms + 1000)
                await work.publish(work.seal(second))
                await until(lambda: waiting(world) == 2)
                connection.execute(
                    "INSERT INTO vv.permissions SELECT %s, quantity, %s, series_id, valid_from,"
                    " NULL, NULL, step, interval_ms, time_step_ms, %s FROM vv.permissions",
                    [WORK.handle, WORK.agent, epoch],
                )
            other = heart_rate(60, handle=WORK.handle, start_ms=start_ms - 120_000)
            await work.publish(work.seal(other))
            await until(lambda: work.settled(2))
            assert not work.settled(1)
            block.release(is_stored=is_stored)
        await until(lambda: work.settled(1))
        await until(lambda: is_conserved(app))
        refused = metric(app, "refused_envelopes_total", reason="policy_exceeded")
        assert refused == is_stored
    assert values(world) == [60.0, 71.0 if is_stored else 70.0]


@OUTCOMES
async def test_what_is_set_aside_when_the_broker_reconnects_comes_again_once(
    world: World, is_stored: bool
) -> None:
    """
    After a reconnect the copy from the lost connection is dropped, and the redelivered copy is
    decided.
    """
    sow(world.database, HOME, WORK)
    async with (
        Relay(world.broker.port).serving() as relay,
        world.agent(HOME.agent) as home,
        world.agent(WORK.agent) as work,
    ):
        broker = msgspec.structs.replace(world.settings.broker, port=relay.port)
        settings = msgspec.structs.replace(world.settings, broker=broker)
        async with (
            world.running(settings) as app,
            set_aside(world, home, work, minute()) as block,
        ):
            for lost in (1, 2):
                received = metric(app, "received_envelopes_total")
                relay.cut()
                # All three are delivered again, because acks are sent in the order of arrival.
                await until(lambda: metric(app, "received_envelopes_total") == received + 3)  # noqa: B023 - awaited at once
                await until(lambda: metric(app, "abandoned_envelopes_total") >= lost)  # noqa: B023 - awaited at once
            block.release(is_stored=is_stored)
            await until(lambda: work.settled(1))
            await until(lambda: is_conserved(app))
            decided = metric(app, "envelopes_total", outcome="stored") + metric(
                app, "refused_envelopes_total", reason="policy_exceeded"
            )
            assert decided == 3 - (not is_stored)
    assert values(world) == [60.0, 71.0 if is_stored else 70.0]


@OUTCOMES
async def test_what_is_set_aside_is_decided_before_a_stop(
    world: World, is_stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A stop waits until an envelope that was set aside and the flush before it are decided and
    acknowledged.
    """
    sow(world.database, HOME, WORK)
    async with world.agent(HOME.agent) as home, world.agent(WORK.agent) as work:
        async with contextlib.AsyncExitStack() as stack:
            running = world.running()
            app = await running.__aenter__()
            block = await stack.enter_async_context(set_aside(world, home, work, minute()))
            stopped, stop_receiving = asyncio.Event(), app.receiver.stop_receiving

            def noted() -> None:
                stop_receiving()
                stopped.set()

            monkeypatch.setattr(app.receiver, "stop_receiving", noted)
            stopping = asyncio.create_task(running.__aexit__(None, None, None))
            await stopped.wait()
            await asyncio.wait([stopping], timeout=0.3)
            assert not stopping.done()
            block.release(is_stored=is_stored)
            await stopping
        assert is_conserved(app)
        assert metric(app, "abandoned_envelopes_total") == 0
        async with world.running() as later:
            await home.publish(home.seal(heart_rate(50, start_ms=minute() + 360_000)))
            await until(lambda: home.settled(2))
            assert settled(later) == 1
    assert values(world) == [60.0, 71.0 if is_stored else 70.0, 50.0]


async def test_what_is_set_aside_at_the_end_of_a_stop_comes_at_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    After a stop that did not wait long enough for the database, the next start stores every
    envelope exactly once.
    """
    monkeypatch.setattr(ingest.service, "_STOP_TIMEOUT_S", 0.2)
    sow(world.database, HOME, WORK)
    async with world.agent(HOME.agent) as home, world.agent(WORK.agent) as work:
        async with contextlib.AsyncExitStack() as stack:
            running = world.running()
            app = await running.__aenter__()
            block = await stack.enter_async_context(set_aside(world, home, work, minute()))
            await running.__aexit__(None, None, None)
            assert metric(app, "in_flight_envelopes") == 2
            assert values(world) == [60.0]
            block.release(is_stored=True)
        async with world.running() as later:
            await until(lambda: home.settled(1) and work.settled(1))
            await until(lambda: is_conserved(later))
            # The stored envelope got no ack, because an earlier one had none; so it comes again.
            assert metric(later, "envelopes_total", outcome="duplicate") == 1
            assert settled(later) == 3
    assert values(world) == [60.0, 71.0]


async def test_duplicate_of_what_was_stored_in_part_blocks_no_fresh_reading(world: World) -> None:
    """
    A duplicate reserves no interval for a quantity that was not stored at its first delivery,
    even if a later permission admits the quantity.
    """
    both = (*_MINUTE, Rule(Code.PULSE_RATE, interval_ms=60_000))
    sow(world.database, HOME, msgspec.structs.replace(WORK, rules=both))
    start_ms = minute()
    async with (
        world.agent(HOME.agent) as home,
        world.agent(WORK.agent) as work,
        world.running() as app,
    ):
        heart = heart_rate(70, start_ms=start_ms)
        pulse = heart_rate(95, start_ms=start_ms, quantity=Code.PULSE_RATE)
        payload = home.seal(Body(HOME.handle, 1, [*heart.blocks, *pulse.blocks]))
        await home.publish(payload)
        await until(lambda: home.settled(1))
        assert metric(app, "refused_observations_total", reason="not_permitted") == 1
        with change(world.database) as (connection, epoch):
            connection.execute(
                "INSERT INTO vv.permissions SELECT %s, quantity, %s, series_id, valid_from,"
                " NULL, NULL, step, interval_ms, time_step_ms, %s FROM vv.permissions"
                " WHERE handle = %s AND quantity = %s",
                [HOME.handle, HOME.agent, epoch, WORK.handle, int(Code.PULSE_RATE)],
            )
        await until(lambda: metric(app, "permissions_epoch") == epoch)
        await home.publish(payload, topic=topics.observations(HOME.agent))
        await until(lambda: metric(app, "envelopes_total", outcome="duplicate") == 1)
        fresh = heart_rate(
            96, handle=WORK.handle, start_ms=start_ms + 1000, quantity=Code.PULSE_RATE
        )
        await work.publish(work.seal(fresh))
        # The stored quantity of the duplicate keeps its interval.
        late = heart_rate(71, handle=WORK.handle, start_ms=start_ms + 2000)
        await work.publish(work.seal(late))
        await until(lambda: work.settled(1) and work.settled(2))
        assert metric(app, "refused_envelopes_total", reason="policy_exceeded") == 1
    assert values(world) == [70.0, 96.0]

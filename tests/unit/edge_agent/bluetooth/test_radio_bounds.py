"""The limits of a radio's input."""

import asyncio
from typing import cast

import pytest
from bleak import BleakClient

from edge_agent.bluetooth import flow_limit
from edge_agent.bluetooth import inbox as inboxes
from edge_agent.bluetooth.errors import CallTimedOut, LinkLost
from edge_agent.bluetooth.inbox import Inbox
from edge_agent.bluetooth.radio.client import Link, Radio
from edge_agent.bluetooth.radio.deadline import within
from edge_agent.values.measurement import Measurement


def measurement(n: int, *, is_single: bool = False) -> Measurement:
    """Return a measurement that can be distinguished from others."""
    return Measurement("C0:FF:EE:00:00:01", 1, n, 60, is_single=is_single)


def test_a_usual_sensor_is_never_thinned_out() -> None:
    """One value a second, or a burst after a silence, is never limited."""
    meter = flow_limit.FlowLimit(now=0.0)
    assert all(meter.allows(now=float(second)) for second in range(3600))
    assert all(meter.allows(now=3600.0) for _ in range(200))
    assert meter.excess == 0


def test_a_flood_is_thinned_out_and_ends_patience() -> None:
    """
    At 1 kHz about 32 values a second pass, and after two seconds the sensor counts as
    flooding.
    """
    meter = flow_limit.FlowLimit(now=0.0)
    passed = [meter.allows(now=n / 1000) for n in range(3000)]
    assert sum(passed) == pytest.approx(flow_limit.BURST + 3 * flow_limit.PER_S, abs=2)
    assert meter.is_flooded


async def test_an_inbox_gives_up_what_has_no_room() -> None:
    """A full inbox rejects new measurements, and hands the earlier ones out in order."""
    inbox = Inbox(max_waiting=2)
    assert [inbox.offer(measurement(n)) for n in range(3)] == [True, True, False]
    assert [m.at_ms for m in await inbox.take(within_s=0)] == [0, 1]
    assert await inbox.take(within_s=0) == []


async def test_an_inbox_keeps_room_for_what_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inbox reserves limited room for measurements that a person took on purpose."""
    monkeypatch.setattr(inboxes, "RESERVE", 2)
    inbox = Inbox(max_waiting=2)
    for n in range(3):
        inbox.offer(measurement(n))
    assert [inbox.offer(measurement(n, is_single=True)) for n in (3, 4, 5)] == [True, True, False]
    assert [m.at_ms for m in await inbox.take(within_s=0)] == [0, 1, 3, 4]


async def test_a_record_waits_for_room() -> None:
    """A stored record waits until the inbox has room."""
    inbox = Inbox(max_waiting=1)
    inbox.offer(measurement(0))
    waiting = asyncio.create_task(inbox.put(measurement(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await inbox.take(within_s=0)
    await waiting
    assert [m.at_ms for m in await inbox.take(within_s=0)] == [1]


async def test_a_cancelled_take_loses_nothing() -> None:
    """A cancelled take loses no measurement."""
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take(within_s=60))
    await asyncio.sleep(0)
    inbox.offer(measurement(0))
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert len(await inbox.take(within_s=0)) == 1


async def test_a_call_that_insists_is_left_to_itself() -> None:
    """A call that swallows its cancellation is abandoned."""
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        while cancelled < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    with pytest.raises(CallTimedOut):
        await within(0.01, "a call", stubborn())
    assert cancelled == 2


async def test_the_last_words_of_a_sensor_are_heard() -> None:
    """Values that came before the end of a link are handed over within a limited time."""
    gone = asyncio.Event()
    link = Link(cast("BleakClient", None), gone, Radio())

    async def hand_over() -> int:
        await gone.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        return 7

    holding = asyncio.create_task(link.hold(hand_over()))
    await asyncio.sleep(0)
    link.lose()

    assert await holding == 7
    with pytest.raises(LinkLost):
        await link.hold(asyncio.Event().wait())


async def test_what_a_call_returns_or_raises_is_passed_on() -> None:
    """Within the deadline, the result or error of a call is passed on."""

    async def seven() -> int:
        return 7

    async def fails() -> int:
        raise OSError("the bus")

    assert await within(1.0, "a call", seven()) == 7
    with pytest.raises(OSError, match="the bus"):
        await within(1.0, "a call", fails())

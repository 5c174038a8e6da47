"""The values of one sensor: limits and counters."""

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

from edge_agent.bluetooth.inbox import Inbox
from edge_agent.bluetooth.notification_sink import MAX_VALUE_BYTES, NotificationSink, SharedState
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.gatt.registry import CHARACTERISTICS
from tests.fakes.edge_agent import ManualClock
from wire.refusals import Refusal

HEART_RATE = CHARACTERISTICS[0x2A37]


class Scene:
    """A sink, and its counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refused: Counter[Refusal] = Counter()
        self.progress = 0
        self.inbox, self.clock = Inbox(), ManualClock()
        refuse = lambda reason: self.refused.update([reason])  # noqa: E731 - one line
        shared = SharedState(self.inbox, RadioMetrics(self.registry), self.clock, refuse)
        self.sink = NotificationSink("C0:FF:EE:00:00:01", shared, self.progressed)

    def progressed(self) -> None:
        """Count a value that can be decoded."""
        self.progress += 1

    def value(self, name: str, **labels: str) -> float:
        """Return a metric."""
        return self.registry.get_sample_value("vitalveil_agent_" + name, labels) or 0.0


@pytest.mark.parametrize("excess", [0, 2])
async def test_a_value_is_no_longer_than_an_attribute(excess: int) -> None:
    """A value longer than an attribute is counted and not decoded."""
    scene = Scene()
    long = bytes((0x10, 60)) + bytes((0, 4)) * (MAX_VALUE_BYTES // 2 - 1) + bytes(excess)

    scene.sink.live(HEART_RATE, long)

    oversized = {"characteristic": HEART_RATE.name, "reason": "oversized"}
    assert scene.value("decode_errors_total", **oversized) == (excess > 0)
    assert scene.refused[Refusal.MALFORMED] == (excess > 0)
    assert scene.progress == (excess == 0)
    assert bool(await scene.inbox.take(within_s=0)) == (excess == 0)


def test_a_flood_is_not_even_decoded() -> None:
    """In a flood at 1 kHz a value is only counted, under two names, and not decoded."""
    scene = Scene()
    for _ in range(4000):
        scene.sink.live(HEART_RATE, bytes((0x00, 60)))
        scene.clock.pass_s(0.001)

    dropped = scene.value("dropped_notifications_total", reason="flood")
    assert dropped == scene.refused[Refusal.FLOOD] == 4000 - scene.progress
    assert scene.progress < 500
    assert scene.sink.is_flooded

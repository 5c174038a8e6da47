"""
Promises P4 and P5: each observation is stored exactly once, whatever is killed at any time.

A sensor measures 50 values a second, and each value encodes the number of its record. So every
lost, doubled or reordered value is detected. The moments are random, from a seed in the test's id.
"""

import random
import time

import pytest

from simulators.stack.network import Direction
from tests.fixtures.system import Scene

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


def _seeds(few: int, many: int) -> list[object]:
    """Return *few* seeds for every run, and the rest up to *many* for the long campaign."""
    return [
        seed if seed < few else pytest.param(seed, marks=[pytest.mark.long])
        for seed in range(many)
    ]


@pytest.mark.parametrize("seed", _seeds(3, 100))
def test_ingest_killed_between_commit_and_ack(scene: Scene, seed: int) -> None:
    """
    Deliveries that were committed but not acknowledged are redelivered, and recognised as
    duplicates.
    """
    flow = scene.flow()
    scene.ingest_network.hold(Direction.UP)
    before = len(flow.stored())
    # Ingest's acknowledgements do not reach the broker any more, but rows are committed.
    flow.wait_for(lambda: len(flow.stored()) > before, "rows were committed without an ack")
    time.sleep(random.Random(seed).uniform(0, 0.5))
    assert scene.system.ingest is not None
    scene.system.ingest.kill()
    scene.ingest_network.cut()
    scene.ingest_network.release()
    scene.system.start_ingest()
    flow.end()


@pytest.mark.parametrize("seed", _seeds(3, 100))
def test_ingest_killed_at_any_moment(scene: Scene, seed: int) -> None:
    """No observation is lost or doubled when ingest dies at any instruction."""
    draw = random.Random(seed)
    flow = scene.flow()
    for _ in range(3):
        time.sleep(draw.uniform(0, 0.7))
        assert scene.system.ingest is not None
        scene.system.ingest.kill()
        scene.system.start_ingest()
    flow.end()


@pytest.mark.parametrize("seed", _seeds(3, 100))
def test_agent_killed_between_spool_and_publish(scene: Scene, seed: int) -> None:
    """An envelope that was spooled and not published is published by the next process."""
    flow = scene.flow()
    scene.agent_network.hold(Direction.UP)
    flow.wait_for(lambda: flow.spooled() > 0, "the spool holds what the network does not take")
    time.sleep(random.Random(seed).uniform(0, 0.5))
    flow.restart_agent()
    scene.agent_network.cut()
    scene.agent_network.release()
    flow.end()


@pytest.mark.parametrize("seed", _seeds(3, 100))
def test_agent_killed_at_any_moment(scene: Scene, seed: int) -> None:
    """
    When the agent dies at any instruction, the sensor's memory restores the readings that were
    only in RAM.
    """
    draw = random.Random(seed)
    flow = scene.flow()
    for _ in range(3):
        time.sleep(draw.uniform(0, 0.7))
        flow.restart_agent()
    flow.end()


@pytest.mark.parametrize("seed", _seeds(2, 50))
def test_broker_wiped(scene: Scene, seed: int) -> None:
    """
    After the broker has lost all its state, agents publish every envelope without a
    receipt again.
    """
    draw = random.Random(seed)
    flow = scene.flow()
    time.sleep(draw.uniform(0, 0.7))
    if seed % 2 == 0:
        # The broker has queued and acknowledged messages that ingest has not received.
        scene.ingest_network.refuse()
        scene.ingest_network.cut()
        time.sleep(draw.uniform(0.5, 1))
    scene.system.broker.kill()
    scene.system.broker.wipe()
    scene.ingest_network.release()
    scene.system.broker.start()
    flow.end()


@pytest.mark.parametrize("seed", _seeds(2, 50))
def test_database_restarted_under_load(scene: Scene, seed: int) -> None:
    """
    While the database is not available nothing is acknowledged; afterwards everything is
    stored.
    """
    draw = random.Random(seed)
    server = scene.system.databases.server
    assert server is not None
    flow = scene.flow()
    time.sleep(draw.uniform(0, 0.7))
    if draw.random() < 0.5:
        server.kill()
    else:
        server.stop()
    time.sleep(draw.uniform(0, 2))
    server.start()
    flow.end()


@pytest.mark.parametrize("seed", _seeds(1, 50))
def test_everything_fails_together(scene: Scene, seed: int) -> None:
    """Overlapping faults lose and double nothing either."""
    draw = random.Random(1000 + seed)
    server = scene.system.databases.server
    assert server is not None
    flow = scene.flow()
    for _ in range(3):
        assert scene.system.ingest is not None
        faults = draw.sample(["agent", "ingest", "broker", "database", "networks"], k=2)
        if "agent" in faults:
            flow.restart_agent()
        if "ingest" in faults:
            scene.system.ingest.kill()
        if "broker" in faults:
            scene.system.broker.kill()
            scene.system.broker.start()
        if "database" in faults:
            server.kill()
            server.start()
        if "networks" in faults:
            scene.ingest_network.cut()
            scene.agent_network.cut()
        if "ingest" in faults:
            scene.system.start_ingest(wait=False)
        time.sleep(draw.uniform(0, 1))
    flow.end()

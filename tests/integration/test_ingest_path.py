"""From a sealed envelope on the broker to rows and a receipt, on real servers."""

import pytest

from tests.fix_ingest import World, heart_rate, until
from tests.seed_permissions import Seed, sow, withdraw

pytestmark = [pytest.mark.broker, pytest.mark.database]
SEED = Seed()


def samples(world: World) -> int:
    """Return how many observations are stored."""
    (count,) = world.database.fetch("SELECT count(*) FROM vv.observations")[0]
    assert isinstance(count, int)
    return count


def metric(app_registry: object, name: str, **labels: str) -> float:
    """Return a metric's value."""
    value = app_registry.get_sample_value(f"vitalveil_ingest_{name}", labels)  # type: ignore[attr-defined]
    assert isinstance(value, float)
    return value


async def test_envelope_becomes_rows_and_a_receipt(world: World) -> None:
    """What an agent seals is stored with its values, and the agent is told once it is."""
    sow(world.database, SEED)
    async with world.running(), world.agent(SEED.agent) as agent:
        await agent.publish(agent.seal(heart_rate(70, 71, 72)))
        await until(lambda: agent.settled(1))
        assert world.database.fetch("SELECT value FROM vv.observations ORDER BY time") == [
            (70.0,),
            (71.0,),
            (72.0,),
        ]

"""The benchmark's own world: its broker, database and ingest start, and a round balances."""

import pytest

from benchmarks import plan
from benchmarks.world.world import world

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


def test_a_round_is_drained_and_balances() -> None:
    """Ingest drains a small round with all guarantees on; a round that loses anything raises."""
    with world() as opened:
        samples = plan.ours_alone(opened, plan.Sizes(1, {30: 2000}, {}), lambda _: None).samples

    (sample,) = samples["ours_30"].values()
    assert sample["messages_per_s"] > 0
    assert sample["cpu_us_per_message"] > 0

"""What ingest stored, counted."""

from tests.fixtures.ingest import (
    World,
)


def rows(world: World) -> int:
    """Return how many observations are stored."""
    (count,) = world.database.fetch("SELECT count(*) FROM vv.observations")[0]
    assert isinstance(count, int)
    return count

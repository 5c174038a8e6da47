"""One gateway of a fleet, connected to nothing yet."""

import pytest

from tests.support.benches.fleet_gateway import Setting


@pytest.fixture
def setting() -> Setting:
    """A gateway that is connected and has a lease."""
    return Setting()

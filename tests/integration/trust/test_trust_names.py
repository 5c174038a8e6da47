"""All pseudonyms of the telemetry database are read one by one, and not held in memory at once."""

import tracemalloc

import pytest

from tests.fixtures.vault import Office

pytestmark = pytest.mark.database

SERIES = 60_000
_MOST_BYTES = 6_000_000
"""A third of the memory that all these names take as objects."""


def test_names_are_read_as_they_are_needed(office: Office) -> None:
    """Every name is read, and memory does not grow with their number."""
    office.telemetry.execute(
        "INSERT INTO vv.series (pseudonym, purpose, quantity)"
        " SELECT decode(md5(n::text), 'hex'), 'home-monitoring', 1 FROM generate_series(1, %s) n",
        SERIES,
    )
    tracemalloc.start()

    count = sum(1 for _ in office.app.stores.names())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == SERIES
    assert most < _MOST_BYTES


def test_names_may_be_left_half_read(office: Office) -> None:
    """Reading can stop in the middle, and the connection can be used for other queries at once."""
    office.telemetry.execute(
        "INSERT INTO vv.series (pseudonym, purpose, quantity)"
        " SELECT decode(md5(n::text), 'hex'), 'home-monitoring', 1 FROM generate_series(1, 9) n"
    )

    assert any(name.series for name in office.app.stores.names())

    assert office.app.stores.count([1]) != {}

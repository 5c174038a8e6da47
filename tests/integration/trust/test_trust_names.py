"""All names of the telemetry database are looked through, and never held at once."""

import tracemalloc

import pytest

from tests.fixtures.vault import Office

pytestmark = pytest.mark.database

SERIES = 60_000
_MOST_BYTES = 6_000_000
"""A third of what so many names take as objects."""


def test_names_are_read_as_they_are_needed(office: Office) -> None:
    """Every name comes, and memory does not grow with how many there are."""
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
    """Who has found what was looked for goes on with other questions at once."""
    office.telemetry.execute(
        "INSERT INTO vv.series (pseudonym, purpose, quantity)"
        " SELECT decode(md5(n::text), 'hex'), 'home-monitoring', 1 FROM generate_series(1, 9) n"
    )

    assert any(name.series for name in office.app.stores.names())

    assert office.app.stores.count([1]) != {}

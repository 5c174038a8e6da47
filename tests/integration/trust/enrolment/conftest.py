"""A running enrolment service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.vault import Office
from tests.support.enrolment_desk import Served


@pytest.fixture
def served(office: Office, tmp_path: Path) -> Iterator[Served]:
    """A running enrolment service."""
    made = Served(office, tmp_path)
    yield made
    made.child.stop()

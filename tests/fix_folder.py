"""A private folder of a test run, which servers under another user can pass through."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def run_folder() -> Iterator[Path]:
    """A folder for servers of the whole run; not pytest's own, whose parents are closed."""
    folder = Path(tempfile.mkdtemp(prefix="vitalveil-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)

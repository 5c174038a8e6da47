"""A private folder of a test run, which servers under another user can pass through."""

import subprocess
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
    # In the background: the databases of a whole run are gigabytes, and on a loaded machine the
    # last test took the blame for the minutes that this takes.
    subprocess.run(["sh", "-c", 'rm -rf -- "$0" >/dev/null 2>&1 &', str(folder)], check=True)

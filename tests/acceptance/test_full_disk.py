"""The disk of the database fills up under load: everything waits, and nothing is lost."""

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from simulators.stack.child import Child
from simulators.stack.scrape import is_ready
from simulators.stack.system import System, system
from tests.fixtures.database import programs
from tests.fixtures.system import Flow, begin

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

_SIZE: Final = "384m"
_PIECE: Final = bytes(1 << 16)


@pytest.fixture
def whole() -> Iterator[System]:
    """A system whose database has its own, small disk."""
    with system(programs=programs()) as made:
        disk = made.folder / "postgres"
        disk.mkdir(mode=0o755)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=755", "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
            pytest.skip("a disk can be mounted by root alone")
        try:
            begin(made)
            yield made
            made.close()
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(path: Path) -> None:
    """Write to *path* until the disk is full."""
    with path.open("wb", buffering=0) as file:
        size = len(_PIECE)
        while size:
            try:
                file.write(_PIECE[:size])
            except OSError:
                size //= 2


def _serves(server: Child | None) -> bool:
    return server is not None and server.exit_code is None


def test_a_full_disk_stops_everything_and_loses_nothing(
    whole: System, request: pytest.FixtureRequest
) -> None:
    """
    While the disk is full, ingest is not ready and acknowledges nothing; with new space it
    continues, and nothing is lost.
    """
    server, ingest = whole.databases.server, whole.ingest
    assert server is not None
    flow = Flow(whole)
    request.addfinalizer(flow.stop_player)
    flow.begin()
    flow.wait_for(lambda: len(flow.stored()) > 50, "the first values were stored")
    filler = server.folder / "filler"
    _fill(filler)
    flow.wait_for(lambda: not is_ready(whole.ingest_port), "ingest says that it waits")
    flow.wait_for(lambda: flow.spooled() > 50, "the gateway keeps what nobody stores")
    filler.unlink()
    if not _serves(server.child):
        # Without space for its log the server ends; systemd or the container engine starts it
        # again.
        server.start()
    flow.wait_for(partial(is_ready, whole.ingest_port), "ingest stores again", timeout_s=120)
    assert ingest is not None
    assert ingest.exit_code is None
    flow.end()

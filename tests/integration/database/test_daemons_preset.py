"""
The daemons with a database setting that they refuse: they name it, and continue after it is
removed.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from ingest.errors import Unusable
from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child, free_port
from simulators.stack.scrape import is_ready
from tests.fixtures.broker import broker_settings
from tests.fixtures.ingest import World, until
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office
from tests.support.databases.presets import preset
from tests.support.publishing import ROOT, write_settings

pytestmark = [pytest.mark.database, pytest.mark.broker, pytest.mark.slow]

_SETTING = "session_replication_role"


async def test_ingest_does_not_start(world: World) -> None:
    """
    Ingest exits with the name of the setting and the remedy, and takes nothing from the
    broker.
    """
    with preset([world.database], {_SETTING: "replica"}):
        with pytest.raises(ExceptionGroup) as ended:
            async with world.running():
                pass
        (cause,) = ended.value.exceptions
        assert isinstance(cause, Unusable)
        assert f"ALTER DATABASE ... RESET {_SETTING}" in cause.cause
    async with world.running() as app:
        assert list(app.missing()) == []


async def test_trust_says_why_it_is_not_ready(
    office: Office, broker: Mosquitto, certificates: Certificates
) -> None:
    """
    Trust logs the name of the setting while it waits, and continues without a restart after a
    reset.
    """
    port, log = free_port(), office.folder / "trust.log"
    configuration = write_settings(office, broker_settings(broker, certificates, "trust"), port)
    command = [sys.executable, "-m", "vitalveil", "trust", "run", "--config", str(configuration)]
    with preset([office.vault], {_SETTING: "replica"}):
        child = Child("trust", command, log=log, environ={"PYTHONPATH": str(ROOT)})
        await until(lambda: _says(log, f"ALTER DATABASE ... RESET {_SETTING}"))
        assert not is_ready(port)
    try:
        await until(lambda: is_ready(port))
    finally:
        assert await asyncio.to_thread(child.stop) == 0


def _says(log: Path, text: str) -> bool:
    return log.exists() and text in log.read_text()

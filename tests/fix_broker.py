"""A real mosquitto with mutual TLS."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.settings import BrokerSettings
from simulators.stack.broker import Mosquitto
from tests.fix_pki import Certificates

_numbers = itertools.count()


@pytest.fixture
def broker(run_folder: Path, certificates: Certificates) -> Iterator[Mosquitto]:
    """A broker of this test alone: start, stop, kill and wipe it at will."""
    folder = run_folder / f"broker-{next(_numbers)}"
    folder.mkdir()
    mosquitto = Mosquitto(folder=folder, pki=certificates.folder)
    mosquitto.start()
    yield mosquitto
    mosquitto.kill()


def broker_settings(mosquitto: Mosquitto, certificates: Certificates, name: str) -> BrokerSettings:
    """Return how *name* reaches *mosquitto*."""
    return BrokerSettings(tls=certificates.client(name), port=mosquitto.port)

"""How trust connects to the broker of a test."""

import pytest

from runtime.settings import BrokerSettings
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates


@pytest.fixture
def trust_broker(broker: Mosquitto, certificates: Certificates) -> BrokerSettings:
    """Return the settings with which trust connects to the broker."""
    return broker_settings(broker, certificates, "trust")

"""The settings of a gateway that was set up and has not yet run."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.config import AgentSettings, SensorSettings
from runtime.settings import BrokerSettings
from simulators.stack.child import free_port
from tests.fakes.edge_agent import write_keys
from tests.fixtures.pki import Certificates


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """Return the settings of a gateway whose broker does not answer."""
    certificates = Certificates(tmp_path / "pki")
    keys = write_keys(tmp_path, Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
    return AgentSettings(
        agent="0" * 16,
        state_dir=tmp_path / "state",
        broker=BrokerSettings(tls=certificates.client("0" * 16), port=free_port()),
        keys=keys,
        sensors=SensorSettings(tmp_path / "s.sock"),
    )

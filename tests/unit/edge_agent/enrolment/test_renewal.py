"""Renewal in the background: failures are logged and tried again."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.config import AgentSettings, EnrolmentSettings, SensorSettings
from edge_agent.enrolment import client
from edge_agent.enrolment.renewal import renewing
from edge_agent.errors import DeskRefused
from runtime.settings import BrokerSettings
from tests.fakes.edge_agent import write_keys
from tests.fixtures.pki import Certificates


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://desk:99999", id="no port"),
        pytest.param("https://desk:port", id="a word for a port"),
        pytest.param("https://desk..example", id="an empty part"),
        pytest.param("https://[desk", id="half a bracket"),
        pytest.param("https://", id="nobody"),
        pytest.param("http://desk", id="in clear"),
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """An invalid URL of the enrolment service is refused with the declared error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(DeskRefused, match="https://HOST:PORT"):
        client.ask(url, "/v1/renew", EnrolmentSettings("https://x"), context=context)


async def test_a_renewal_that_dies_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error that ends the renewal is logged at once."""
    keys = write_keys(tmp_path, Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
    settings = AgentSettings(
        agent="0" * 16,
        state_dir=tmp_path / "state",
        broker=BrokerSettings(tls=Certificates(tmp_path / "pki").client("0" * 16)),
        keys=keys,
        sensors=SensorSettings(tmp_path / "s.sock"),
        # The wrong type on purpose, as a value that was read from outside can have.
        enrolment=EnrolmentSettings("https://desk", renew_at="soon"),  # type: ignore[arg-type]
    )
    async with renewing(settings), asyncio.timeout(60):
        while "renewal_died" not in caplog.messages:  # noqa: ASYNC110 - a log
            await asyncio.sleep(0.01)

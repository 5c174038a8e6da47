"""A revocation reaches the broker: it reads the list again, and lets the gateway in no more."""

import asyncio
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from runtime.settings import BrokerSettings, TlsSettings
from runtime.tls import client_context
from simulators.stack.broker import Mosquitto
from tests.fix_vault import Office
from trust.app import App, now
from trust.config import CertificateSettings

pytestmark = [pytest.mark.database, pytest.mark.broker]


async def gets_in(broker: Mosquitto, agent: str, bundle: Path) -> bool:
    """Tell whether the broker lets *agent* in."""
    tls = TlsSettings(bundle / "ca.crt", bundle / "agent.crt", bundle / "agent.key")
    settings = BrokerSettings(tls=tls, port=broker.port)
    try:
        async with aiomqtt.Client(
            "127.0.0.1", broker.port, identifier=agent, protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=client_context(settings.tls, section="broker.tls"), timeout=5,
        ):  # fmt: skip
            return True
    except aiomqtt.MqttError:
        return False


async def is_kept_out(broker: Mosquitto, agent: str, bundle: Path) -> bool:
    """Tell whether the broker, which a signal has just told, soon keeps *agent* out."""
    for _ in range(50):
        if not await gets_in(broker, agent, bundle):
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize("hook", ["works", "fails", "is missing"])
async def test_who_is_revoked_is_let_in_no_more(
    office: Office, run_folder: Path, hook: str
) -> None:
    """With the hook that tells it, the broker refuses at once; without, an operator is told."""
    pki = run_folder / f"revocation-{hook.replace(' ', '-')}"
    office.app.authority.issue_services(pki, hosts=["127.0.0.1"], now=now())
    folder = pki / "broker"
    folder.mkdir()
    broker = Mosquitto(folder=folder, pki=pki)
    broker.start()
    assert broker.child is not None
    command = {
        "works": ["kill", "-HUP", str(broker.child.pid)],
        "fails": ["false"],
        "is missing": [str(folder / "no-such-program")],
    }[hook]
    office.app = App(
        msgspec.structs.replace(
            office.settings,
            certificates=CertificateSettings(
                crl_file=pki / "crl.pem", reload_command=command, reload_timeout_s=5.0
            ),
        )
    )
    try:
        (ada, ada_bundle), (bob, bob_bundle) = office.enrol(), office.enrol()
        assert await gets_in(broker, ada, ada_bundle)

        # Of two lists of one second, OpenSSL may keep to the one that it had.
        await asyncio.sleep(1.1)
        reply = office.run("pki", "revoke", ada, "--yes")

        assert reply["next"].startswith("nothing:") is (hook == "works")
        if hook == "works":
            assert await is_kept_out(broker, ada, ada_bundle)
        assert await gets_in(broker, bob, bob_bundle)
        assert office.telemetry.fetch(
            "SELECT revoked_at IS NOT NULL FROM vv.agents WHERE agent = %s", ada
        ) == [(True,)], "ingest refuses it in any case"
    finally:
        broker.kill()

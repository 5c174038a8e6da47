"""What goes wrong with real servers is told by each program in words, with what to do."""

import asyncio
import contextlib
import datetime as dt
import gc
import shutil
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import aiomqtt
import msgspec
import pytest

from edge_agent.errors import BrokerError
from edge_agent.uplink.publisher import AiomqttBroker
from ingest.mqtt.receiver import MqttReceiver
from ingest.mqtt.session import SessionSettings
from runtime.backoff import Backoff
from runtime.settings import BrokerSettings
from runtime.tls_identity import TlsIdentity
from simulators.stack.broker import Mosquitto
from tests.fixtures.broker import broker_settings
from tests.fixtures.database import Database
from tests.fixtures.pki import Certificates
from tests.support.causes import check
from trust.domain import pki
from trust.errors import BrokerUnavailable
from trust.reconcile.mqtt_broker import MqttBroker
from vitalveil.doctor import broker as doctor
from vitalveil.doctor.finding import Level

AGENT: Final = "0123456789abcdef"


# paho leaves the socket of a failed TLS handshake to the garbage collector: that of a test, or
# that of the fixture below.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect the sockets that a test left, so that no later test is blamed for them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def of_agent(settings: BrokerSettings, caplog: pytest.LogCaptureFixture) -> str:
    """Return what a gateway tells of the end of its connection."""
    broker = AiomqttBroker(settings, TlsIdentity(settings.tls), agent=AGENT)
    try:
        async with broker.connect(will=b"") as connection:
            async for _ in connection.downlinks():
                pass
    except BrokerError as error:
        return str(error)
    raise AssertionError("the connection did not end")


async def of_trust(settings: BrokerSettings, caplog: pytest.LogCaptureFixture) -> str:
    """Return what trust tells of the end of its connection."""
    with pytest.raises(BrokerUnavailable) as raised:
        async with MqttBroker(settings, max_packet_bytes=65_536).connect() as channel:
            await channel.hear(lambda topic, payload: None)
    return str(raised.value)


async def of_ingest(settings: BrokerSettings, caplog: pytest.LogCaptureFixture) -> str:
    """Return what ingest logs of the end of its connection."""
    async with receiving(settings):
        async with asyncio.timeout(20):
            while not (told := losses(caplog)):  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.02)
    return told[0]


@contextlib.asynccontextmanager
async def receiving(settings: BrokerSettings) -> AsyncIterator[None]:
    """Run the receiver of ingest."""
    receiver = MqttReceiver(
        broker=settings,
        identity=TlsIdentity(settings.tls),
        session=SessionSettings(),
        backoff=Backoff(lambda: 1.0, first_s=0.5, longest_s=1.0),
        now_ms=lambda: 0,
        on_change=lambda is_live: None,
        on_refused=lambda: None,
    )
    task = asyncio.create_task(receiver.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def losses(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return why ingest lost or did not reach the broker, as logged."""
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    return [str(text) for one in fields if (text := one.get("why") or one.get("error"))]


Tell = Callable[[BrokerSettings, pytest.LogCaptureFixture], Awaitable[str]]
PROGRAMS: dict[str, tuple[str, Tell]] = {
    "agent": (AGENT, of_agent),
    "trust": ("trust", of_trust),
    "ingest": ("ingest", of_ingest),
}
each_program = pytest.mark.parametrize(("name", "tell"), PROGRAMS.values(), ids=PROGRAMS)


@pytest.mark.broker
@each_program
async def test_broker_that_is_down(
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    name: str,
    tell: Tell,
) -> None:
    """Nothing listens: start it, or correct the port. The doctor says the same."""
    settings = broker_settings(broker, certificates, name)
    broker.stop()
    check(await tell(settings, caplog), "nothing listens on that port. Start the broker")
    (found,) = doctor.look(settings, now=dt.datetime.now(dt.UTC))
    assert (found.level, "nothing listens" in found.text) == (Level.WRONG, True)


@pytest.mark.broker
@each_program
async def test_name_that_is_none(
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    name: str,
    tell: Tell,
) -> None:
    """A typing mistake in the host is told from a broker that is down."""
    settings = broker_settings(broker, certificates, name)
    settings = msgspec.structs.replace(settings, host="broker.invalid")
    check(await tell(settings, caplog), "the host name of the broker cannot be resolved")


@pytest.mark.broker
@each_program
async def test_authority_of_another_installation(
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    name: str,
    tell: Tell,
) -> None:
    """With the ca.crt of another installation, the broker's certificate is not trusted."""
    other = Certificates(tmp_path / "pki").client(name)
    settings = broker_settings(broker, certificates, name)
    tls = msgspec.structs.replace(settings.tls, ca_file=other.ca_file)
    settings = msgspec.structs.replace(settings, tls=tls)
    check(
        await tell(settings, caplog),
        "the certificate of the broker is not from the authority in ca_file. Use the ca.crt",
    )
    (found,) = doctor.look(settings, now=dt.datetime.now(dt.UTC))
    assert "not from the authority" in found.text


@pytest.mark.broker
@each_program
async def test_certificate_that_the_broker_refuses(
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    name: str,
    tell: Tell,
) -> None:
    """TLS 1.3 tells a client after its handshake: the end of the connection is not bare."""
    other = Certificates(tmp_path / "pki").client(name)
    settings = broker_settings(broker, certificates, name)
    tls = msgspec.structs.replace(other, ca_file=settings.tls.ca_file)
    settings = msgspec.structs.replace(settings, tls=tls)
    async with asyncio.timeout(5):  # Not the timeout of 10 s of aiomqtt.
        told = await tell(settings, caplog)
    assert ("refuses the certificate" in told) or ("before it answered CONNECT" in told), told
    check(told, "the broker")


@pytest.mark.broker
@each_program
async def test_host_that_the_certificate_does_not_name(
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    name: str,
    tell: Tell,
) -> None:
    """A broker that is reached under a name that its certificate lacks."""
    folder = tmp_path / "pki"
    shutil.copytree(broker.pki, folder)
    holder = pki.issue(
        certificates.ca, "broker", role=pki.CertificateRole.SERVER,
        now=dt.datetime.now(dt.UTC), valid_for=dt.timedelta(days=1), hosts=["mqtt.clinic.example"],
    )  # fmt: skip
    (folder / "broker.crt").write_bytes(holder.certificate_pem())
    (folder / "broker.key").write_bytes(holder.key_pem())
    settings = broker_settings(broker, certificates, name)
    broker.stop()
    other = Mosquitto(folder=tmp_path, pki=folder, port=broker.port)
    other.start()
    try:
        check(await tell(settings, caplog), "another host name than the one in the settings")
    finally:
        other.kill()


@pytest.mark.broker
@each_program
async def test_certificate_of_the_broker_that_has_expired(
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    name: str,
    tell: Tell,
) -> None:
    """An old certificate says so, with where the page of rotation is."""
    folder = tmp_path / "pki"
    shutil.copytree(broker.pki, folder)
    holder = pki.issue(
        certificates.ca, "broker", role=pki.CertificateRole.SERVER,
        now=dt.datetime.now(dt.UTC) - dt.timedelta(days=9), valid_for=dt.timedelta(days=1),
        hosts=["127.0.0.1"],
    )  # fmt: skip
    (folder / "broker.crt").write_bytes(holder.certificate_pem())
    (folder / "broker.key").write_bytes(holder.key_pem())
    settings = broker_settings(broker, certificates, name)
    broker.stop()
    other = Mosquitto(folder=tmp_path, pki=folder, port=broker.port)
    other.start()
    try:
        check(await tell(settings, caplog), "the certificate of the broker has expired")
    finally:
        other.kill()


@pytest.mark.database
@each_program
async def test_port_of_another_server(
    database: Database,
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    name: str,
    tell: Tell,
) -> None:
    """The port of PostgreSQL in place of the broker's: it ends what it does not understand."""
    settings = broker_settings(broker, certificates, name)
    settings = msgspec.structs.replace(settings, port=database.server.port)
    told = await tell(settings, caplog)
    check(told, "the broker")
    assert "TLS" in told or "ended the connection" in told, told


@pytest.mark.broker
@each_program
async def test_session_that_is_taken_over(
    broker: Mosquitto,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    name: str,
    tell: Tell,
) -> None:
    """
    A second process with the same certificate: the first one says that it may have been put out.

    mosquitto 2.0.11 sends no DISCONNECT then; that brokers do is tested by the unit tests.
    """
    settings = broker_settings(broker, certificates, name)
    first = asyncio.create_task(asyncio.wait_for(tell(settings, caplog), 20))
    while not first.done():
        # If this client was the earlier one, it is itself put out, and comes again. By then the
        # other one is idle: a connection in use may be reset before it reads the reason.
        await asyncio.wait({first}, timeout=0.5)
        with contextlib.suppress(aiomqtt.MqttError):
            async with aiomqtt.Client(
                settings.host,
                settings.port,
                identifier=name,
                protocol=aiomqtt.ProtocolVersion.V5,
                tls_context=TlsIdentity(settings.tls).context(),
            ):
                await asyncio.wait({first}, timeout=0.5)
    told = await first
    check(told, "another client connected with the same id")
    assert "second process" in told

"""The servers that tests and the demo use."""

import re
import socket
import ssl

import pytest

from runtime.tls import client_context
from schema.steps import telemetry
from simulators.stack.broker import Mosquitto
from tests.fixtures.database import Database
from tests.fixtures.pki import Certificates


@pytest.mark.database
def test_database_has_the_schema_once(database: Database) -> None:
    """A new database of either variant has every migration applied once."""
    wanted = [m.number for m in telemetry(variant=database.variant)]
    applied = database.fetch("SELECT number FROM public.vv_migrations ORDER BY number")
    assert [number for (number,) in applied] == wanted


@pytest.mark.broker
def test_a_broker_tells_its_version(broker: Mosquitto) -> None:
    """The report of a run names the version of the broker that was installed for it."""
    (version,) = broker.versions().values()
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version)


def test_broker_wants_a_certificate(broker: Mosquitto, certificates: Certificates) -> None:
    """The broker rejects a client without a certificate of its CA during the TLS handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates.folder / "ca.crt")
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        pytest.raises(ssl.SSLError),
    ):
        secured.recv(1)


@pytest.mark.broker
def test_broker_lets_a_known_client_in(broker: Mosquitto, certificates: Certificates) -> None:
    """A client with a certificate of the CA completes a TLS 1.3 handshake."""
    context = client_context(certificates.client("0123456789abcdef"), section="broker.tls")
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.version() == "TLSv1.3"
        # CONNECT, MQTT 5, clean start, no properties, empty client id.
        secured.sendall(bytes.fromhex("10 0d 0004 4d515454 05 02 0000 00 0000"))
        assert secured.recv(2)[0] == 0x20

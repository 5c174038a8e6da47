"""The enrolment service among unknown clients: a client with a certificate is always served."""

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.enrolment import client, credentials, enrol
from tests.fixtures.vault import Office
from tests.integration.trust.enrolment.test_trust_enrolment_service import serial, tls
from tests.support.enrolment_desk import Served
from trust.enrolment import visitors

pytestmark = pytest.mark.database


@pytest.fixture
def served(office: Office, tmp_path: Path) -> Iterator[Served]:
    """A service that allows three attempts from one network."""
    made = Served(office, tmp_path, burst=3)
    yield made
    made.child.stop()


def port_of(served: Served) -> int:
    """Return the port of the service."""
    return int(served.url.rpartition(":")[2])


def descriptors(served: Served) -> int:
    """Return how many file descriptors the service has open."""
    return len(list(Path(f"/proc/{served.child.pid}/fd").iterdir()))


def say(
    served: Served,
    body: bytes,
    *,
    path: str = "/v1/renew",
    kind: str = "application/json",
    folder: Path | None = None,
    source: str = "127.0.0.1",
) -> tuple[int, bytes]:
    """Return status and body of the answer to a client with the certificate in *folder*."""
    context = ssl.create_default_context(cafile=str(served.pki / "ca.crt"))
    if folder is not None:
        context.load_cert_chain(folder / "agent.crt", folder / "agent.key")
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port_of(served), timeout=20, context=context, source_address=(source, 0)
    )
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_no_stranger_stands_before_who_shows_a_certificate(served: Served, tmp_path: Path) -> None:
    """
    Many addresses use up the common limit of clients without a certificate; renewals have limits
    of their own.
    """
    out = tmp_path / "gateway"
    agent = served.enrol(served.token(), out)
    before = serial(out)
    answers = [
        say(served, b'{"token":"x","request":"y"}', path="/v1/enrol", source=f"127.0.1.{n}")
        for n in range(1, 60)
    ]
    status, sentence = answers[-1]
    assert status == 429
    assert b"without a certificate together; try again in " in sentence
    enrol.renew(tls(out), agent=agent, url=served.url)
    assert serial(out) != before
    # Each certificate has its own limit as well.
    body = json.dumps({"request": "x"}).encode()
    statuses = [say(served, body, folder=out)[0] for _ in range(5)]
    assert statuses[0] == 400
    assert statuses[-1] == 429


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"], ids=["silent", "half", "no TLS"]
)
def test_half_open_handshakes_hold_no_place(served: Served, tmp_path: Path, said: bytes) -> None:
    """
    Among 400 unfinished TLS handshakes, from one address and from many, a gateway is served at
    once.
    """
    out = tmp_path / "gateway"
    before = descriptors(served)
    with contextlib.ExitStack() as held:
        for n in range(400):
            one = held.enter_context(socket.socket())
            one.bind((f"127.0.0.{1 + n % 40}", 0))
            one.connect(("127.0.0.1", port_of(served)))
            with contextlib.suppress(OSError):
                one.sendall(said)
        agent = served.enrol(served.token(), out)
        enrol.renew(tls(out), agent=agent, url=served.url)
        assert descriptors(served) <= before + visitors.MOST + 2


def test_half_said_requests_hold_no_place(patient: Served, tmp_path: Path) -> None:
    """Among 60 unfinished requests after the handshake, a gateway is served at once."""
    out = tmp_path / "gateway"
    context = client.tls_context(patient.pki / "ca.crt")
    before = descriptors(patient)
    with contextlib.ExitStack() as held:
        for n in range(60):
            plain = socket.create_connection(("127.0.0.1", port_of(patient)))
            one = held.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
            with contextlib.suppress(OSError):
                one.sendall(
                    b"POST /v1/renew HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"[: 30 + n]
                )
        patient.enrol(patient.token(), out)
        assert descriptors(patient) <= before + visitors.MOST_OF_ONE + 2


_REQUEST = json.dumps({"request": "-----BEGIN CERTIFICATE REQUEST-----"}).encode()
_DEEP = 6000


CASES = {
    "deep and long": (b'{"request":' * _DEEP + b"1" + b"}" * _DEEP, "application/json", 413),
    "deep": (b'{"a":' * 2000 + b"1" + b"}" * 2000, "application/json", 400),
    "deep list": (b"[" * 8000, "application/json", 400),
    "nested": (b'{"request": [["canary"]]}', "application/json", 400),
    "kind": (b'{"request": "canary"}', "text/plain", 415),
    "another kind": (b'{"request": "canary"}', "application/x-msgpack", 415),
    "msgpack": (b"\x81\xa7request\xa6canary", "application/json", 400),
    "type": (b'{"request": 5}', "application/json", 400),
    "null": (b'{"request": null}', "application/json", 400),
    "unknown field": (b'{"request": "canary", "x": 1}', "application/json", 400),
    "twice": (b'{"request": "a", "request": "canary"}', "application/json", 400),
    "missing": (b"{}", "application/json", 400),
    "empty": (b"", "application/json", 400),
    "nothing": (b"null", "application/json", 400),
    "no UTF-8": (b'{"request": "\xff"}', "application/json", 400),
    "half a character": (b'{"request": "\\ud800"}', "application/json", 400),
    "NUL": (b'{"request": "canary\\u0000"}', "application/json", 400),
    "UTF-16": ('{"request": "canary"}'.encode("utf-16"), "application/json", 400),
    "number": (b'{"request": ' + b"9" * 9000 + b"}", "application/json", 400),
    "1 MB": (b'{"request": "' + b"canary" * 200_000 + b'"}', "application/json", 413),
    "no request": (_REQUEST, "application/json", 400),
    "parameter": (_REQUEST, "application/json; charset=latin-1", 400),
}


@pytest.mark.parametrize("path", ["/v1/renew", "/v1/enrol"])
def test_what_is_no_request_gets_a_sentence_and_no_echo(
    patient: Served, certified: Path, path: str
) -> None:
    """An invalid request gets a 4xx status and a sentence that repeats nothing of the request."""
    for name, (body, kind, status) in CASES.items():
        try:
            found, answer = say(patient, body, path=path, kind=kind, folder=certified)
        except (ConnectionError, ssl.SSLError):
            # A request that is too large may be refused before all of it was sent.
            assert status == 413, name
            continue
        assert (name, found) == (name, status)
        assert b"canary" not in answer, name
        assert len(json.loads(answer)["error"]) > 10, name
    assert '"level": "error"' not in patient.log.read_text()


@pytest.fixture
def patient(office: Office, tmp_path: Path) -> Iterator[Served]:
    """A service without limits for one network."""
    made = Served(office, tmp_path, burst=1000)
    yield made
    made.child.stop()


@pytest.fixture
def certified(patient: Served, tmp_path: Path) -> Path:
    """Return the files of an enrolled gateway."""
    out = tmp_path / "certified"
    patient.enrol(patient.token(), out)
    assert credentials.certificate(out / "agent.crt").serial_number
    return out

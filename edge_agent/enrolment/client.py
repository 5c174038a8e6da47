"""
The client of trust's enrolment service: HTTPS with TLS 1.3, and no CA but the installation's own.

It uses the standard library only, because a gateway needs it about once a year.
"""

import http.client
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from edge_agent.errors import DeskRefused, DeskUnavailable
from runtime import files
from runtime.causes.explain import explain
from runtime.causes.files import of_file
from runtime.causes.tls import of_tls
from runtime.logs import describe

_PEER: Final = "the enrolment service"
_TIMEOUT_S: Final = 30.0
_MAX_ANSWER_BYTES: Final = 65_536


class Bundle(msgspec.Struct, frozen=True):
    """The answer of the enrolment service: certificates and public keys, nothing secret."""

    agent: str
    certificate: str
    ca: str
    trust_key: str
    ingest_key: str


class _Problem(msgspec.Struct, frozen=True):
    error: str = ""


def tls_context(
    ca_file: Path, *, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """
    Return the TLS settings for the enrolment service.

    Raises:
        DeskRefused: A certificate or key file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        if key_file is not None:
            files.check_secret(key_file)
        context.load_verify_locations(ca_file)
        if certificate_file is not None:
            context.load_cert_chain(certificate_file, key_file)
    except ssl.SSLError:
        raise DeskRefused(
            "a certificate or key file does not hold PEM, or the key is of another certificate"
        ) from None
    except OSError as exc:
        raise DeskRefused(f"a certificate or key file cannot be used: {of_file(exc)}") from None
    return context


def ask(url: str, path: str, body: msgspec.Struct, *, context: ssl.SSLContext) -> Bundle:
    """
    Send *body* to *path* of the enrolment service at *url*; return its answer.

    Raises:
        DeskRefused: The service rejects the request; repeating it does not help.
        DeskUnavailable: The service did not answer. The request may be repeated.
    """
    host, port, root = _address(url)
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request(
            "POST",
            root + path,
            body=msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        answer = response.read(_MAX_ANSWER_BYTES)
    except ssl.SSLCertVerificationError as exc:
        raise DeskRefused(str(of_tls(exc, _PEER))) from None
    except UnicodeError:
        # A host name that DNS cannot hold: a label that is empty or too long.
        raise _not_a_url() from None
    except OSError as exc:
        cause = explain(exc, _PEER)
        raise DeskUnavailable(describe(exc) if cause is None else str(cause)) from None
    except http.client.HTTPException:
        raise DeskUnavailable("the answer is not HTTP, so another program listens there") from None
    finally:
        connection.close()
    return _bundle(response.status, answer)


def _address(url: str) -> tuple[str, int, str]:
    """Return host, port and path of the enrolment service at *url*."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        raise _not_a_url() from None
    if parts.scheme != "https" or not host:
        raise _not_a_url()
    return host, port, parts.path.rstrip("/")


def _not_a_url() -> DeskRefused:
    return DeskRefused("the URL of the enrolment service must be written as https://HOST:PORT")


def _bundle(status: int, answer: bytes) -> Bundle:
    try:
        if status == http.client.OK:
            return msgspec.json.decode(answer, type=Bundle)
        said = msgspec.json.decode(answer, type=_Problem).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DeskUnavailable(
            f"status {status}, and the answer is not from an enrolment service"
        ) from None
    if status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.TOO_MANY_REQUESTS:
        raise DeskUnavailable(f"status {status}")
    # The message of our own service, verified by TLS: one of a closed list of sentences.
    raise DeskRefused(said or f"status {status}")

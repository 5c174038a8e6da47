"""
Trust's enrolment desk, as a gateway speaks to it: HTTPS, TLS 1.3, our own CA and no other.

The standard library only, because a gateway does this once a year.
"""

import http.client
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from edge_agent.errors import DeskRefused, DeskUnavailable

_TIMEOUT_S: Final = 30.0
_MAX_ANSWER_BYTES: Final = 65_536


class Bundle(msgspec.Struct, frozen=True):
    """What the desk hands out: all public."""

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
    Return how the desk is reached.

    Raises:
        DeskRefused: A file is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(ca_file)
        if certificate_file is not None:
            context.load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as exc:
        raise DeskRefused(f"a file of TLS cannot be used ({type(exc).__name__})") from None
    return context


def ask(url: str, path: str, body: msgspec.Struct, *, context: ssl.SSLContext) -> Bundle:
    """
    Send *body* to *path* of the desk at *url*; return what it hands out.

    Raises:
        DeskRefused: It will never answer this with a bundle.
        DeskUnavailable: Try again: the same request gets the same answer.
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
    except ssl.SSLCertVerificationError:
        raise DeskRefused("that desk has no certificate of our CA for its name") from None
    except UnicodeError:
        # A name that no DNS could hold: an empty part between two dots, or one too long.
        raise _not_a_url() from None
    except (OSError, http.client.HTTPException) as exc:
        raise DeskUnavailable(type(exc).__name__) from None
    finally:
        connection.close()
    return _bundle(response.status, answer)


def _address(url: str) -> tuple[str, int, str]:
    """Return host, port and path of the desk at *url*."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        raise _not_a_url() from None
    if parts.scheme != "https" or not host:
        raise _not_a_url()
    return host, port, parts.path.rstrip("/")


def _not_a_url() -> DeskRefused:
    return DeskRefused("the URL of the desk is written https://HOST:PORT")


def _bundle(status: int, answer: bytes) -> Bundle:
    try:
        if status == http.client.OK:
            return msgspec.json.decode(answer, type=Bundle)
        said = msgspec.json.decode(answer, type=_Problem).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DeskUnavailable(f"status {status}, and no answer of a desk") from None
    if status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.TOO_MANY_REQUESTS:
        raise DeskUnavailable(f"status {status}")
    # What our own desk says, over TLS that verified it: a closed list of sentences.
    raise DeskRefused(said or f"status {status}")

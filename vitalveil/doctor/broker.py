"""
The broker as it answers: TLS, and who gets in.

Never connects under the name of a program that may be running: the broker takes the client id from
the certificate, and would give us its session and everything that is queued there.
"""

import datetime as dt
import socket
import ssl
from collections.abc import Iterable
from typing import Final

from cryptography import x509

from runtime.settings import BrokerSettings
from runtime.tls import client_context
from vitalveil.doctor import files
from vitalveil.doctor.finding import Finding, note, sound, wrong

_TIMEOUT_S: Final = 3.0
_SILENCE_S: Final = 0.5
_CONNECT: Final = bytes.fromhex("10 0d 0004 4d515454 05 02 000a 00 0000")
"""MQTT 5, 3.1: clean start, keep alive 10 s, no properties, the broker chooses an id."""
_ACCEPTED: Final = 0
_CONNACK: Final = 0x20


def look(settings: BrokerSettings, *, now: dt.datetime) -> Iterable[Finding]:
    """Shake hands as ourselves; then as nobody; then with TLS 1.2."""
    own = client_context(settings.tls, section="broker.tls")
    try:
        shown, _ = _talk(settings, own, b"")
    except ssl.SSLError as error:
        yield wrong(
            "broker-tls",
            f"no TLS with the broker ({error.reason or 'refused'})",
            "Both must be of one authority, valid, not revoked, and the broker's certificate must "
            "name the host that is set.",
        )
        return
    except OSError as error:
        mend = "Check host and port, that it runs, and the firewall."
        yield wrong("broker-reachable", f"nobody answers ({type(error).__name__})", mend)
        return
    yield sound("broker-reachable", "the broker answers, with TLS 1.3")
    # Nobody else tells: it is the one certificate that no process of ours holds.
    yield from files.ends("broker-certificate", x509.load_der_x509_certificate(shown), now=now)
    yield _strangers(settings)
    yield _old_tls(settings)


def _talk(settings: BrokerSettings, context: ssl.SSLContext, said: bytes) -> tuple[bytes, bytes]:
    """Return the broker's certificate, and the first bytes that it says after *said*, if any."""
    address = (settings.host, settings.port)
    with (
        socket.create_connection(address, timeout=_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=settings.host) as secure,
    ):
        shown = secure.getpeercert(binary_form=True) or b""
        if said:
            secure.sendall(said)
        # With TLS 1.3 a client hears only now that its certificate is refused.
        secure.settimeout(_SILENCE_S if not said else _TIMEOUT_S)
        try:
            return shown, secure.recv(64)
        except TimeoutError:
            return shown, b""


def _strangers(settings: BrokerSettings) -> Finding:
    context = ssl.create_default_context(cafile=settings.tls.ca_file)
    try:
        _, answer = _talk(settings, context, _CONNECT)
    except OSError:
        answer = b""
    if len(answer) > 3 and answer[0] == _CONNACK and answer[3] == _ACCEPTED:
        mend = "Set `require_certificate true` and `allow_anonymous false`."
        return wrong("broker-strangers", "it lets in whoever has no certificate", mend)
    return sound("broker-strangers", "without a certificate nobody gets in")


def _old_tls(settings: BrokerSettings) -> Finding:
    context = ssl.create_default_context(cafile=settings.tls.ca_file)
    context.load_cert_chain(settings.tls.certificate_file, settings.tls.key_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        _talk(settings, context, b"")
    except OSError:
        return sound("broker-old-tls", "it speaks TLS 1.3 alone")
    return note("broker-old-tls", "it speaks TLS 1.2 too", "Set `tls_version tlsv1.3`.")

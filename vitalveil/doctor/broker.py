"""
Checks of the running broker: TLS, and which clients it accepts.

The doctor never sends CONNECT with the certificate of a program: the broker takes the client id
from the certificate, and would hand the program's session and its queued messages to the doctor.
"""

import contextlib
import datetime as dt
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable
from typing import Final

from cryptography import x509

from runtime import supported
from runtime.causes.network import of_connection
from runtime.causes.tls import of_tls
from runtime.settings import BrokerSettings
from runtime.tls import client_context
from vitalveil.doctor import files
from vitalveil.doctor.finding import Finding, note, of_version, sound, wrong

_TIMEOUT_S: Final = 3.0
_SILENCE_S: Final = 0.5
_CONNECT: Final = bytes.fromhex("10 0d 0004 4d515454 05 02 000a 00 0000")
"""CONNECT (MQTT 5, 3.1): clean start, keep alive 10 s, no properties, no client id."""
_ACCEPTED: Final = 0
_CONNACK: Final = 0x20


def look(settings: BrokerSettings, *, now: dt.datetime) -> Iterable[Finding]:
    """Check a TLS handshake with the certificate of ingest, without one, and with TLS 1.2."""
    own = client_context(settings.tls, section="broker.tls")
    try:
        shown, _ = _talk(settings, own, b"")
    except ssl.SSLError as error:
        cause = of_tls(error, "the broker")
        yield wrong("broker-tls", cause.text, cause.remedy)
        return
    except OSError as error:
        cause = of_connection(error, "the broker")
        yield wrong("broker-reachable", cause.text, cause.remedy)
        return
    yield sound("broker-reachable", "the broker answers with TLS 1.3")
    # No metric shows when this certificate ends, because no program has its file.
    yield from files.ends("broker-certificate", x509.load_der_x509_certificate(shown), now=now)
    yield _strangers(settings)
    yield _old_tls(settings)


def installed() -> Iterable[Finding]:
    """Check the version of the mosquitto that is installed on this machine, if there is one."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        # It prints its version, its options, and ends with exit code 3.
        shown = subprocess.run(
            [program, "-h"], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        version = supported.find(shown.stdout)
        if version is not None:
            yield of_version("broker-version", supported.MOSQUITTO, version)


def _talk(settings: BrokerSettings, context: ssl.SSLContext, said: bytes) -> tuple[bytes, bytes]:
    """Send *said*; return the broker's certificate in DER, and the first bytes of its answer."""
    address = (settings.host, settings.port)
    with (
        socket.create_connection(address, timeout=_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=settings.host) as secure,
    ):
        shown = secure.getpeercert(binary_form=True) or b""
        if said:
            secure.sendall(said)
        # With TLS 1.3, the client learns only after the handshake that its certificate is refused.
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
        remedy = "Set `require_certificate true` and `allow_anonymous false`."
        return wrong(
            "broker-strangers", "the broker accepts clients without a certificate", remedy
        )
    return sound("broker-strangers", "the broker refuses clients without a certificate")


def _old_tls(settings: BrokerSettings) -> Finding:
    context = ssl.create_default_context(cafile=settings.tls.ca_file)
    context.load_cert_chain(settings.tls.certificate_file, settings.tls.key_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        _talk(settings, context, b"")
    except OSError:
        return sound("broker-old-tls", "the broker accepts only TLS 1.3")
    return note("broker-old-tls", "the broker also accepts TLS 1.2", "Set `tls_version tlsv1.3`.")

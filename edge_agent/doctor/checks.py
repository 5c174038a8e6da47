"""`vitalveil agent doctor`: what an operator would look at, looked at. Names nobody."""

import contextlib
import datetime as dt
import enum
import http.client
import re
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_connection, gaierror
from typing import Final

import msgspec
from cryptography import x509

from edge_agent.config import AgentSettings
from edge_agent.errors import EdgeAgentError, StateInUse
from edge_agent.lease import keys
from edge_agent.lease.leases import FileLeaseStore, Leases
from edge_agent.sources import clock
from edge_agent.spool import database_file, inspection, lock, verification
from edge_agent.values.receipt_faults import ReceiptFault
from edge_agent.values.timekeeping import may_measure
from runtime.errors import ConfigError
from runtime.logs import describe
from runtime.tls import client_context

_CONNECT_S: Final = 5.0
_REFUSAL_S: Final = 1.0
_GIVEN_UP_MS: Final = 7 * 24 * 3_600_000
"""For so long what was given up is worth a word."""
_RENEW_BEFORE: Final = dt.timedelta(days=14)
_REFUSED: Final = re.compile(
    r'^vitalveil_agent_refused_receipts_total\{reason="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE
)
_RADIOS: Final = Path("/sys/class/bluetooth")
_RTCS: Final = Path("/sys/class/rtc")


class Severity(enum.StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """What one look found."""

    what: str
    verdict: Severity
    text: str


def examine(settings: AgentSettings) -> Iterator[Finding]:
    """Yield what is found, one look after the other."""
    looks: list[tuple[str, Callable[[AgentSettings], tuple[Severity, str]]]] = [
        ("keys", _keys),
        ("certificate", _certificate),
        ("folder", _folder),
        ("agent", _agent),
        ("spool", _spool),
        ("lease", _lease),
        ("clock", _clock),
        ("broker", _broker),
        ("receipts", _receipts),
        ("sensors", _sensors),
    ]
    for what, look in looks:
        try:
            yield Finding(what, *look(settings))
        except (ConfigError, EdgeAgentError) as exc:
            yield Finding(what, Severity.BAD, str(exc))
        except (OSError, ValueError) as exc:
            yield Finding(what, Severity.BAD, describe(exc))


def _keys(settings: AgentSettings) -> tuple[Severity, str]:
    keys.read(settings.keys)
    return Severity.OK, "all three can be read, the private one by us only"


def _certificate(settings: AgentSettings) -> tuple[Severity, str]:
    client_context(settings.broker.tls, section="broker.tls")
    pem = settings.broker.tls.certificate_file.read_bytes()
    ends_at = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    left = ends_at - dt.datetime.now(dt.UTC)
    if left <= dt.timedelta():
        return Severity.BAD, f"it ended at {ends_at:%Y-%m-%d %H:%M} UTC"
    verdict = Severity.WARNING if left < _RENEW_BEFORE else Severity.OK
    return verdict, f"it ends in {left.days} days"


def _folder(settings: AgentSettings) -> tuple[Severity, str]:
    folder = settings.state_dir
    if not folder.is_dir():
        return Severity.WARNING, "it is not there yet; the agent makes it"
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return Severity.BAD, "others than its owner may look into it: chmod 700"
    free = database_file.free_bytes(folder)
    verdict = Severity.OK if free > 2 * settings.spool.min_free_bytes else Severity.WARNING
    if free < settings.spool.min_free_bytes:
        verdict = Severity.BAD
    return verdict, f"{free // 1_000_000} MB of its disk are free"


def _agent(settings: AgentSettings) -> tuple[Severity, str]:
    if not settings.state_dir.is_dir():
        return Severity.WARNING, "it has not run yet"
    try:
        with lock.hold(settings.state_dir):
            return Severity.WARNING, "it is not running"
    except StateInUse:
        return Severity.OK, "it is running"


def _spool(settings: AgentSettings) -> tuple[Severity, str]:
    if not (settings.state_dir / database_file.NAME).exists():
        return Severity.WARNING, "there is none yet"
    verdict = verification.verify(settings.state_dir)
    damaged = len(list(settings.state_dir.glob(f"{database_file.NAME}.damaged-*[0-9]")))
    if not verdict.is_sound:
        return Severity.BAD, "; ".join(verdict.problems)
    words = [f"sound, {verdict.envelopes} envelopes wait"]
    if damaged:
        words.append(f"{damaged} damaged set aside")
    since_ms = time.time_ns() // 1_000_000 - _GIVEN_UP_MS
    gaps = [gap for gap in inspection.look(settings.state_dir).gaps if gap.hour_ms >= since_ms]
    if gaps:
        count = sum(gap.observations for gap in gaps)
        words.append(f"{count} observations given up within a week, see `spool show`")
    return Severity.OK if len(words) == 1 else Severity.WARNING, "; ".join(words)


def _lease(settings: AgentSettings) -> tuple[Severity, str]:
    held = keys.read(settings.keys)
    leases = Leases(
        agent=settings.agent,
        trust_key=held.trust,
        agent_key=held.lease,
        lease_store=FileLeaseStore(settings.state_dir),
    )
    leases.recall()
    now_ms = time.time_ns() // 1_000_000
    if leases.held is None:
        return Severity.WARNING, "none was ever received"
    if not may_measure(leases.held, now_ms=now_ms):
        return Severity.BAD, f"version {leases.version} is not in force by this machine's clock"
    kept = _kept_clock(settings)
    kept.adopt(leases.held)
    if not may_measure(leases.held, now_ms=now_ms, latest_ms=kept.latest_ms()):
        return Severity.BAD, f"version {leases.version} was seen to end; the next one will count"
    hours = (leases.held.not_after_ms - now_ms) / 3_600_000
    return Severity.OK, f"version {leases.version}, for {hours:.1f} hours more"


def _kept_clock(settings: AgentSettings) -> clock.KeptClock:
    return clock.KeptClock(
        settings.state_dir, belief=settings.clock.belief, marker=settings.clock.marker
    )


def _clock(settings: AgentSettings) -> tuple[Severity, str]:
    kept = _kept_clock(settings)
    if kept.is_wrong():
        return Severity.BAD, "it shows a time that cannot be: one past for sure, or years ahead"
    if settings.clock.belief == "synchronised":
        is_known = kept.is_dated()
        return (
            Severity.OK if is_known else Severity.BAD,
            "it was synchronised" if is_known else "nobody has synchronised it in this boot",
        )
    if not list(_RTCS.glob("rtc*")):
        return Severity.WARNING, "it is believed, but no clock here survives a power cut"
    return Severity.OK, "it is believed"


def _broker(settings: AgentSettings) -> tuple[Severity, str]:
    context = client_context(settings.broker.tls, section="broker.tls")
    address = settings.broker.host, settings.broker.port
    try:
        with (
            create_connection(address, timeout=_CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=settings.broker.host) as secure,
        ):
            return _greeted(secure)
    except OSError as exc:
        return Severity.BAD, _why(exc)


def _greeted(broker: ssl.SSLSocket) -> tuple[Severity, str]:
    # Whether it takes our certificate it says only after the handshake, in TLS 1.3; if it does,
    # it waits for us to speak.
    broker.settimeout(_REFUSAL_S)
    with contextlib.suppress(TimeoutError):
        if not broker.recv(1):
            return Severity.BAD, "it closes the connection at once"
    return Severity.OK, f"it answers, with {broker.version()}, and takes our certificate"


def _receipts(settings: AgentSettings) -> tuple[Severity, str]:
    """Ask the running agent whether it believes the receipts that it gets."""
    if not settings.http.port:
        return Severity.OK, "not asked for: /metrics has no port of its own (http.port)"
    connection = http.client.HTTPConnection(
        settings.http.host, settings.http.port, timeout=_CONNECT_S
    )
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return Severity.WARNING, "the agent does not answer on http.port"
    finally:
        connection.close()
    return judge_receipts(text)


def judge_receipts(metrics: str) -> tuple[Severity, str]:
    """Judge what an agent's /metrics tell of receipts that it did not believe."""
    refused = {reason: float(count) for reason, count in _REFUSED.findall(metrics)}
    old = refused.pop(ReceiptFault.OLD_FORM, 0.0)
    if any(refused.values()):
        return Severity.BAD, (
            "receipts came that ingest does not prove; nothing was forgotten for them."
            " Is keys.ingest_file ingest's key of today? If it is, somebody forges receipts"
        )
    if old:
        return Severity.WARNING, (
            "receipts came of the form of version 0.1.0, and none of them is believed."
            " Upgrade trust and ingest before the gateways; until then the spool keeps everything"
        )
    return Severity.OK, "all that came were ingest's"


def _why(error: OSError) -> str:
    """Return what to look for, when the broker could not be spoken to."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not believed ({error.verify_message})"
        case ssl.SSLError():
            return f"it refuses our certificate, or speaks no TLS 1.3 ({error.reason})"
        case gaierror():
            return "its name is not known here: look at broker.host, or the network's DNS"
        case ConnectionRefusedError():
            return "its machine is there, and nobody listens at broker.port"
        case TimeoutError():
            return f"no answer within {_CONNECT_S:.0f} s: no network, or a firewall"
    return describe(error)


def _sensors(settings: AgentSettings) -> tuple[Severity, str]:
    if settings.sensors.source != "bluetooth":
        return Severity.OK, "they are recorded ones"
    adapters = sorted(path.name for path in _RADIOS.glob("hci?") if ":" not in path.name)
    if not adapters:
        return Severity.BAD, "there is no Bluetooth adapter"
    wanted = settings.sensors.bluetooth.adapter
    if wanted is not None and wanted not in adapters:
        return Severity.BAD, f"there is no adapter {wanted}"
    return Severity.OK, f"by radio, {', '.join(adapters)}"


def is_well(findings: list[Finding]) -> bool:
    """Tell whether nothing is bad."""
    return all(finding.verdict is not Severity.BAD for finding in findings)

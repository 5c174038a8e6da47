"""The checks of `vitalveil agent doctor`. Findings hold no name, address or value."""

import contextlib
import datetime as dt
import enum
import http.client
import re
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_connection
from typing import Final

import msgspec
from cryptography import x509

from edge_agent.config import AgentSettings
from edge_agent.enrolment.credentials import check_owner
from edge_agent.errors import EdgeAgentError, StateInUse
from edge_agent.lease import keys
from edge_agent.lease.leases import FileLeaseStore, Leases
from edge_agent.sources import clock
from edge_agent.spool import database_file, inspection, lock, verification
from edge_agent.values.receipt_faults import ReceiptFault
from edge_agent.values.timekeeping import may_measure
from runtime import supported
from runtime.causes.explain import explain
from runtime.errors import ConfigError
from runtime.logs import describe
from runtime.supported import Software, Support, Version
from runtime.tls import client_context

_CONNECT_S: Final = 5.0
_REFUSAL_S: Final = 1.0
_GIVEN_UP_MS: Final = 7 * 24 * 3_600_000
"""Observations that were given up within this time are reported."""
_RENEW_BEFORE: Final = dt.timedelta(days=14)
_REFUSED: Final = re.compile(
    r'^vitalveil_agent_refused_receipts_total\{reason="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE
)
_RADIOS: Final = Path("/sys/class/bluetooth")
_BLUETOOTHD: Final = (
    "/usr/libexec/bluetooth/bluetoothd",
    "/usr/lib/bluetooth/bluetoothd",
    "bluetoothctl",
)
"""Programs of BlueZ that tell its version; Debian and Fedora, Arch, others."""
_RTCS: Final = Path("/sys/class/rtc")


class Severity(enum.StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """The result of one check."""

    what: str
    verdict: Severity
    text: str


def examine(settings: AgentSettings) -> Iterator[Finding]:
    """Run all checks, in order, and yield the finding of each."""
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
        ("bluez", _bluez),
        ("python", _python),
    ]
    for what, look in looks:
        try:
            yield Finding(what, *look(settings))
        except (ConfigError, EdgeAgentError) as exc:
            yield Finding(what, Severity.BAD, str(exc))
        except (OSError, ValueError) as exc:
            yield Finding(what, Severity.BAD, describe(exc))


def _python(settings: AgentSettings) -> tuple[Severity, str]:
    return _judged(supported.PYTHON, sys.version_info[:2])


def _judged(software: Software, version: Version) -> tuple[Severity, str]:
    verdict = {
        Support.TOO_OLD: Severity.BAD,
        Support.LATER: Severity.WARNING,
        Support.TRIED: Severity.OK,
    }
    return verdict[software.judge(version)], software.describe(version)


def _keys(settings: AgentSettings) -> tuple[Severity, str]:
    keys.read(settings.keys)
    return Severity.OK, "all three key files can be read, the private one by this user only"


def _certificate(settings: AgentSettings) -> tuple[Severity, str]:
    client_context(settings.broker.tls, section="broker.tls")
    check_owner(settings.broker.tls.certificate_file, agent=settings.agent)
    pem = settings.broker.tls.certificate_file.read_bytes()
    ends_at = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    left = ends_at - dt.datetime.now(dt.UTC)
    if left <= dt.timedelta():
        return (
            Severity.BAD,
            f"the certificate expired at {ends_at:%Y-%m-%d %H:%M} UTC: enrol this gateway again",
        )
    verdict = Severity.WARNING if left < _RENEW_BEFORE else Severity.OK
    return verdict, f"the certificate expires in {left.days} days"


def _folder(settings: AgentSettings) -> tuple[Severity, str]:
    folder = settings.state_dir
    if not folder.is_dir():
        return (
            Severity.WARNING,
            "the state folder does not exist yet; the agent makes it when it starts",
        )
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return Severity.BAD, "other users may read the state folder: run chmod 700 on it"
    free = database_file.free_bytes(folder)
    verdict = Severity.OK if free > 2 * settings.spool.min_free_bytes else Severity.WARNING
    if free < settings.spool.min_free_bytes:
        verdict = Severity.BAD
    return verdict, f"{free // 1_000_000} MB are free on the disk of the state folder"


def _agent(settings: AgentSettings) -> tuple[Severity, str]:
    if not settings.state_dir.is_dir():
        return Severity.WARNING, "the agent has not run yet"
    try:
        with lock.hold(settings.state_dir):
            return Severity.WARNING, "the agent is not running"
    except StateInUse:
        return Severity.OK, "the agent is running"


def _spool(settings: AgentSettings) -> tuple[Severity, str]:
    if not (settings.state_dir / database_file.NAME).exists():
        return Severity.WARNING, "there is no spool yet; the agent makes it when it starts"
    verdict = verification.verify(settings.state_dir)
    damaged = len(list(settings.state_dir.glob(f"{database_file.NAME}.damaged-*[0-9]")))
    if not verdict.is_sound:
        return Severity.BAD, "; ".join(verdict.problems)
    words = [f"the spool is sound; {verdict.envelopes} envelopes wait to be sent"]
    if damaged:
        words.append(f"{damaged} damaged files were set aside")
    since_ms = time.time_ns() // 1_000_000 - _GIVEN_UP_MS
    gaps = [gap for gap in inspection.look(settings.state_dir).gaps if gap.hour_ms >= since_ms]
    if gaps:
        count = sum(gap.observations for gap in gaps)
        words.append(f"{count} observations were given up within a week: see `spool show`")
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
        return Severity.WARNING, "no lease was received yet: nothing may be measured"
    if not may_measure(leases.held, now_ms=now_ms):
        return (
            Severity.BAD,
            f"version {leases.version} is not in force by the clock of this machine",
        )
    kept = _kept_clock(settings)
    kept.adopt(leases.held)
    if not may_measure(leases.held, now_ms=now_ms, latest_ms=kept.latest_ms()):
        return (
            Severity.BAD,
            f"version {leases.version} has expired; the agent waits for the next one",
        )
    hours = (leases.held.not_after_ms - now_ms) / 3_600_000
    return Severity.OK, f"version {leases.version} is in force for {hours:.1f} more hours"


def _kept_clock(settings: AgentSettings) -> clock.KeptClock:
    return clock.KeptClock(
        settings.state_dir, belief=settings.clock.belief, marker=settings.clock.marker
    )


def _clock(settings: AgentSettings) -> tuple[Severity, str]:
    kept = _kept_clock(settings)
    if kept.is_wrong():
        return (
            Severity.BAD,
            "the clock shows a time that is impossible: already past, or years ahead",
        )
    if settings.clock.belief == "synchronised":
        is_known = kept.is_dated()
        return (
            Severity.OK if is_known else Severity.BAD,
            "the clock is synchronised"
            if is_known
            else "the clock was not synchronised since the last start: check that NTP works",
        )
    if not list(_RTCS.glob("rtc*")):
        return (
            Severity.WARNING,
            "the clock is trusted (clock.belief), but it does not survive a power cut here",
        )
    return Severity.OK, "the clock is trusted (clock.belief)"


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
        return Severity.BAD, str(explain(exc, "the broker"))


def _greeted(broker: ssl.SSLSocket) -> tuple[Severity, str]:
    # In TLS 1.3 a server rejects a client certificate only after the handshake. If the broker
    # accepts it, it waits for the first packet of MQTT.
    broker.settimeout(_REFUSAL_S)
    with contextlib.suppress(TimeoutError):
        if not broker.recv(1):
            return Severity.BAD, "the broker closes the connection at once"
    return (
        Severity.OK,
        f"the broker answers with {broker.version()} and accepts the certificate of this gateway",
    )


def _receipts(settings: AgentSettings) -> tuple[Severity, str]:
    """Ask the running agent how many receipts it refused."""
    if not settings.http.port:
        return Severity.OK, "not checked: the agent serves no metrics (http.port is not set)"
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
    """Judge the counters of refused receipts in *metrics*, the text of an agent's /metrics."""
    refused = {reason: float(count) for reason, count in _REFUSED.findall(metrics)}
    old = refused.pop(ReceiptFault.OLD_FORM, 0.0)
    if any(refused.values()):
        return Severity.BAD, (
            "receipts came that ingest did not prove, and the agent ignored them. Check that"
            " keys.ingest_file is the current key of ingest. If it is, receipts are being forged"
        )
    if old:
        return Severity.WARNING, (
            "receipts of version 0.1.0 came, and the agent ignored them. Upgrade trust and ingest"
            " before the gateways; until then the spool keeps everything"
        )
    return Severity.OK, "all receipts that came were proved by ingest"


def _sensors(settings: AgentSettings) -> tuple[Severity, str]:
    if settings.sensors.source != "bluetooth":
        return Severity.OK, "the sensors are recorded ones; no radio is used"
    adapters = sorted(path.name for path in _RADIOS.glob("hci?") if ":" not in path.name)
    if not adapters:
        return Severity.BAD, "there is no Bluetooth adapter"
    wanted = settings.sensors.bluetooth.adapter
    if wanted is not None and wanted not in adapters:
        return (
            Severity.BAD,
            f"there is no Bluetooth adapter {wanted}: check sensors.bluetooth.adapter",
        )
    return Severity.OK, f"Bluetooth adapter {', '.join(adapters)} is there"


def _bluez(settings: AgentSettings) -> tuple[Severity, str]:
    if settings.sensors.source != "bluetooth":
        return Severity.OK, "not checked: no radio is used"
    for program in _BLUETOOTHD:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            shown = subprocess.run(
                [program, "--version"],
                capture_output=True, text=True, check=False, timeout=_CONNECT_S,
            )  # fmt: skip
            version = supported.find(shown.stdout)
            if version is not None:
                return _judged(supported.BLUEZ, version)
    return (
        Severity.WARNING,
        "the version of BlueZ cannot be found: is the package bluez installed?",
    )


def is_well(findings: list[Finding]) -> bool:
    """Tell whether no finding is bad."""
    return all(finding.verdict is not Severity.BAD for finding in findings)

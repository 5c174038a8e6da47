"""The commands doctor, erase, verify and purge: their effects and their output."""

import asyncio
import json
import os
import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry, generate_latest

from edge_agent import app
from edge_agent.config import AgentSettings
from edge_agent.doctor import checks, cli, erase
from edge_agent.doctor.checks import Severity
from edge_agent.enrolment import credentials
from edge_agent.errors import SpoolError, StateInUse
from edge_agent.lease.keys import read
from edge_agent.lease.leases import FileLeaseStore, Leases
from edge_agent.metrics import Metrics
from edge_agent.ports import Sealed
from edge_agent.sources.clock import KeptClock, Machine, SystemClock
from edge_agent.spool import database_file, lock
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.values.receipt_faults import ReceiptFault
from runtime import http
from runtime.errors import ConfigError
from runtime.settings import HttpSettings
from runtime.tls_identity import TlsIdentity
from tests.fakes.edge_agent import HANDLE, HOUR_MS, lease, write_keys
from wire import lease as wire_lease


def fill(settings: AgentSettings, payload: bytes) -> None:
    """Put an envelope into the spool."""

    async def run() -> None:
        spool = await SqliteSpool.open(
            settings.state_dir,
            Tags(read(settings.keys).lease),
            new_spool_id=b"s" * 16,
            bounds=SpoolLimits(1 << 20, min_free_bytes=0),
        )
        await spool.append([Sealed(spool.take_sequence(), HANDLE, 1, payload)], {}, now_ms=1)
        await spool.close()

    asyncio.run(run())


def contents(folder: Path) -> bytes:
    """Return the content of all files below *folder*."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_certificate_of_another_gateway_is_found(settings: AgentSettings) -> None:
    """Check-config, doctor and run say that id and certificate belong to two gateways."""
    other = msgspec.structs.replace(settings, agent="1" * 16)
    for command in (app.check, app.run):
        with pytest.raises(ConfigError, match="issued to another gateway"):
            command(other)
    found = {finding.what: finding for finding in checks.examine(other)}
    assert found["certificate"].verdict is Severity.BAD
    assert "issued to another gateway" in found["certificate"].text
    found = {finding.what: finding for finding in checks.examine(settings)}
    assert found["certificate"].verdict is not Severity.BAD


def test_erase_leaves_nothing(settings: AgentSettings, tmp_path: Path) -> None:
    """`erase` leaves no byte of keys and state; public files remain."""
    canary = os.urandom(32)
    fill(settings, canary)
    (settings.state_dir / "lease.sealed").write_bytes(canary)
    secrets = [settings.keys.lease_file.read_bytes(), settings.broker.tls.key_file.read_bytes()]
    assert canary in contents(tmp_path)

    assert erase.erase(settings) >= 5

    left = contents(tmp_path)
    assert canary not in left
    assert not [secret for secret in secrets if secret in left]
    assert [path.name for path in settings.state_dir.iterdir()] == [lock.NAME]
    assert settings.keys.trust_file.exists()


def test_erase_takes_what_a_renewal_left(settings: AgentSettings) -> None:
    """A key that a renewal has prepared or half written is erased as well."""
    key_file = settings.broker.tls.key_file
    left = credentials.unfinished(key_file) + credentials.unfinished(settings.keys.lease_file)
    for path in left:
        path.write_bytes(b"a key")
    erase.erase(settings)
    assert not [path for path in left if path.exists()]


def test_erase_can_keep_the_identity(settings: AgentSettings) -> None:
    """`erase` can keep the certificate of a gateway that moves to other people."""
    erase.erase(settings, keep_identity=True)
    assert settings.broker.tls.key_file.exists()
    assert not settings.keys.lease_file.exists()


def test_erase_wants_to_be_meant(
    settings: AgentSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --yes `erase` changes nothing."""
    assert cli.erase(settings, is_sure=False, keep_identity=False) == 2
    assert settings.keys.lease_file.exists()
    assert "--yes" in capsys.readouterr().out
    assert cli.erase(settings, is_sure=True, keep_identity=False) == 0


def test_nothing_is_touched_under_a_running_agent(settings: AgentSettings) -> None:
    """While an agent runs, `erase` and `purge` change nothing."""
    fill(settings, b"x")
    with lock.hold(settings.state_dir):
        with pytest.raises(StateInUse):
            erase.erase(settings)
        with pytest.raises(StateInUse):
            cli.purge(settings)
    assert settings.keys.lease_file.exists()


def test_purge_gives_up_everything(
    settings: AgentSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """`purge` empties the spool without a trace, and reports the number of envelopes."""
    canary = os.urandom(32)
    fill(settings, canary)
    assert cli.purge(settings) == 0
    assert "purged: 1 envelopes" in capsys.readouterr().out
    assert canary not in contents(settings.state_dir)


def test_verify_tells(settings: AgentSettings, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` finds an invalid payload, and reports a missing spool."""
    with pytest.raises(SpoolError):
        cli.verify(settings)
    fill(settings, b"x")
    assert cli.verify(settings) == 1
    assert "envelope 1: " in capsys.readouterr().out
    cli.purge(settings)
    assert cli.verify(settings) == 0


def test_doctor_of_a_gateway_without_a_broker(
    settings: AgentSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every check is reported, and one failure decides the exit code."""
    fill(settings, b"x")
    cli.purge(settings)
    assert cli.doctor(settings, as_json=False) == 1
    assert "bad      broker" in capsys.readouterr().out
    assert cli.doctor(settings, as_json=True) == 1
    found = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)["rows"]}
    assert found["keys"]["verdict"] == "ok"
    assert found["spool"]["verdict"] == "ok"
    assert found["agent"]["text"] == "the agent is not running"
    assert found["certificate"]["verdict"] == "warning"  # They are valid for a day.
    assert found["lease"]["verdict"] == "warning"
    assert found["broker"] == {
        "what": "broker",
        "verdict": "bad",
        "text": "the machine of the broker answers, but nothing listens on that port."
        " Start the broker, or check the host and the port in the settings.",
    }


def test_doctor_tells_what_was_given_up(settings: AgentSettings) -> None:
    """Recent losses of the spool are reported, and older ones are not."""

    async def run(now_ms: int) -> None:
        spool = await SqliteSpool.open(
            settings.state_dir,
            Tags(read(settings.keys).lease),
            new_spool_id=b"s" * 16,
            bounds=SpoolLimits(1 << 20, min_free_bytes=0),
        )
        await spool.append([Sealed(spool.take_sequence(), HANDLE, 7, b"x")], {}, now_ms=1)
        await spool.evict_older_than(2, now_ms=now_ms)
        await spool.close()

    now_ms = time.time_ns() // 1_000_000
    asyncio.run(run(now_ms - 8 * 24 * 3_600_000))
    found = {finding.what: finding for finding in checks.examine(settings)}["spool"]
    assert found.verdict is checks.Severity.OK
    asyncio.run(run(now_ms))
    found = {finding.what: finding for finding in checks.examine(settings)}["spool"]
    assert found.verdict is checks.Severity.WARNING
    assert "7 observations were given up" in found.text


def test_doctor_tells_of_the_tenth_damaged_file(settings: AgentSettings) -> None:
    """Damaged files that were set aside are reported, whatever their number."""
    fill(settings, b"")
    assert cli.purge(settings) == 0
    for name in ("damaged-9", "damaged-10", "damaged-10-wal"):
        (settings.state_dir / f"{database_file.NAME}.{name}").touch()
    found = {finding.what: finding for finding in checks.examine(settings)}["spool"]
    assert "2 damaged files were set aside" in found.text


class _Ahead(Machine):
    """A machine whose clock is two days ahead."""

    def wall_ms(self) -> int:
        return super().wall_ms() + 48 * HOUR_MS


def test_doctor_tells_a_lease_that_was_seen_to_end(settings: AgentSettings) -> None:
    """
    A lease that the clock has once shown as ended is reported as ended, although the clock was set
    back.
    """
    trust_key, folder = Ed25519PrivateKey.generate(), settings.state_dir
    folder.mkdir()
    settings = msgspec.structs.replace(
        settings, keys=write_keys(folder.parent, trust_key, X25519PrivateKey.generate())
    )
    held = read(settings.keys)
    given = lease(agent=settings.agent, issued_at_ms=SystemClock().now_ms() - 1000)
    leases = Leases(
        agent=settings.agent,
        trust_key=held.trust,
        agent_key=held.lease,
        lease_store=FileLeaseStore(folder),
    )
    leases.offer(wire_lease.encode(given, trust_key=trust_key, agent_key=held.lease.public_key()))
    leases.save()
    assert checks._lease(settings)[0] is checks.Severity.OK

    ahead = KeptClock(folder, belief="always", marker=folder / "none", machine=_Ahead())
    ahead.adopt(given)
    ahead.keep(is_last=True)
    verdict, text = checks._lease(settings)
    assert verdict is checks.Severity.BAD
    assert "has expired" in text


def test_doctor_survives_whatever_is_missing(settings: AgentSettings) -> None:
    """With every file missing, each check still reports a result."""
    settings.keys.lease_file.unlink()
    settings.broker.tls.certificate_file.unlink()
    findings = list(checks.examine(settings))
    assert len(findings) == 12
    assert not checks.is_well(findings)


def test_identity_follows_its_files(settings: AgentSettings) -> None:
    """A renewed certificate is loaded; a broken one is not, and the previous one stays."""
    identity = TlsIdentity(settings.broker.tls)
    first = identity.context()
    assert identity.context() is first
    certificate = settings.broker.tls.certificate_file
    sound = certificate.read_bytes()
    certificate.write_bytes(b"half of")
    os.utime(certificate, ns=(1, 1))
    assert identity.is_changed()
    assert identity.context() is first
    assert not identity.is_changed()
    certificate.write_bytes(sound)
    os.utime(certificate, ns=(2, 2))
    assert identity.context() is not first


def test_findings_are_plain(settings: AgentSettings) -> None:
    """The findings of doctor can be written as JSON."""
    finding = next(checks.examine(settings))
    assert msgspec.to_builtins(finding)["what"] == "keys"


@pytest.mark.parametrize(
    ("reasons", "verdict"),
    [
        pytest.param({}, Severity.OK, id="none refused"),
        pytest.param({"old_form": 3}, Severity.WARNING, id="an ingest of before"),
        pytest.param({"old_form": 3, "bad_proof": 1}, Severity.BAD, id="forged"),
        pytest.param({"malformed": 1}, Severity.BAD, id="broken"),
    ],
)
def test_doctor_tells_of_receipts_that_are_not_believed(
    reasons: dict[str, int], verdict: Severity
) -> None:
    """Refused receipts of an outdated ingest are distinguished from forged ones."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for reason, count in reasons.items():
        for _ in range(count):
            metrics.refused_receipt(ReceiptFault(reason))
    assert checks.judge_receipts(generate_latest(registry).decode())[0] is verdict


def test_doctor_asks_the_agent_that_runs(settings: AgentSettings) -> None:
    """
    `doctor` reads the running agent's /metrics if it has a port, and reports one that does not
    answer.
    """
    registry = CollectorRegistry()
    Metrics(registry).refused_receipt(ReceiptFault.BAD_PROOF)

    def found(port: int) -> Severity:
        asked = msgspec.structs.replace(settings, http=HttpSettings(port=port))
        return {one.what: one for one in checks.examine(asked)}["receipts"].verdict

    assert found(0) is Severity.OK
    with http.serve(HttpSettings(), registry, missing=list) as port:
        assert found(port) is Severity.BAD
    assert found(port) is Severity.WARNING

"""A fleet on a system that it did not start, and with brokers that reject it."""

import contextlib
import datetime as dt
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from simulators.cli import main
from simulators.fleet.run.site import Site, own_site
from simulators.fleet.scenario import roster
from simulators.fleet.scenario.scenario import Phase, Scenario
from simulators.stack.child import Child, free_port, is_listening
from trust.domain import pki

pytestmark = [
    pytest.mark.broker,
    pytest.mark.database,
    pytest.mark.slow,
    # The time of the first test includes starting the system and enrolling a fleet.
    pytest.mark.timeout(600),
]

_AGENTS = 12
_KEPT = "[lost=0, doubled=0, unbalanced=0, in_flight=0, unexpected=0, connected>=100%]"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A running system with a few enrolled agents."""
    scenario = Scenario(
        name="elsewhere", agents=_AGENTS, every_s=1.0, quantities={"heart_rate": 0.5},
        phases=[Phase(name="a", duration_s=1.0)], limits=["lost=0"],
    )  # fmt: skip
    with own_site(scenario, say=lambda _: None) as found:
        yield found


def _scenario(folder: Path, *, duration_s: float, settle_s: float, hostile: float = 0.0) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(
        f"name: elsewhere\nagents: {_AGENTS}\nevery_s: 1\nramp_s: 0.5\nsettle_s: {settle_s}\n"
        "quantities: {heart_rate: 0.5}\n"
        f"phases: [{{name: a, duration_s: {duration_s}, hostile: {hostile}}}]\n"
        f"limits: {_KEPT}\n"
    )
    return path


def _run(site: Site, folder: Path, *options: str, port: int, scenario: Path) -> tuple[int, Any]:
    """Run the command as an operator would; return its exit code and its report."""
    members, out = folder / "roster.jsonl", folder / "report.json"
    roster.write(members, site.members)
    code = main(["fleet", str(scenario), "--broker", f"127.0.0.1:{port}", "--roster", str(members),
                 "--json", str(out), *options])  # fmt: skip
    return code, json.loads(out.read_text())


def test_a_fleet_on_a_running_system_balances_its_books(site: Site, tmp_path: Path) -> None:
    """
    With broker, roster, database and metrics of a running system every envelope is
    accounted for.
    """
    assert site.dsn is not None
    scenario = _scenario(tmp_path, duration_s=5, settle_s=60, hostile=0.2)
    options = ["--dsn", site.dsn, "--ingest-port", str(site.ingest_port)]
    options += ["--record", str(tmp_path / "plan.npz"), "--html", str(tmp_path / "report.html")]
    code, report = _run(site, tmp_path, *options, port=site.port, scenario=scenario)
    assert [v["text"] for v in report["verdicts"] if not v["is_kept"]] == []
    assert code == 0
    assert report["books"]["stored"] > 30
    assert report["ingest"]["received"] >= report["books"]["sealed"]
    assert "<svg" in (tmp_path / "report.html").read_text()

    # Replaying the record gives the same plan and the same number of envelopes.
    options = ["--dsn", site.dsn, "--ingest-port", str(site.ingest_port)]
    options += ["--replay", str(tmp_path / "plan.npz"), "--workers", "2"]
    code, again = _run(site, tmp_path, *options, port=site.port, scenario=scenario)
    assert code == 0
    assert again["plan"] == report["plan"]
    assert again["books"]["sealed"] == report["books"]["sealed"]

    # Without a database and metrics only receipts are counted, and the report says so. The earlier
    # run's second process has left no file that counts here.
    calm = _scenario(tmp_path, duration_s=3, settle_s=60)
    _, report = _run(site, tmp_path, port=site.port, scenario=calm)
    assert any(note.startswith("no database was named") for note in report["notes"])
    assert report["books"] is None
    assert report["overall"]["receipt"]["p50"] > 0
    assert sum(report["per_second"]["sent"]) == sum(report["per_second"]["offered"])


@contextlib.contextmanager
def _broker(site: Site, folder: Path, trusted: Path, *lines: str) -> Iterator[int]:
    """A second broker with the system's certificate, which trusts the CA *trusted*."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    port, own = free_port(), site.folder / "pki"
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\ncafile {trusted}\ncertfile {own}/broker.crt\n"
        f"keyfile {own}/broker.key\nrequire_certificate true\nuse_identity_as_username true\n"
        "allow_anonymous false\n"
        + ("user root\n" if os.geteuid() == 0 else "")
        + "\n".join([*lines, ""])
    )
    child = Child("mosquitto", [program, "-c", str(settings)], log=folder / "mosquitto.log")
    try:
        child.wait_until(lambda: is_listening(port))
        yield port
    finally:
        child.stop()


@pytest.mark.parametrize("refuses", ["certificates", "connections"])
def test_a_broker_that_will_not_have_it_gives_a_report(
    site: Site,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    refuses: str,
) -> None:
    """
    A broker that rejects the fleet is reported by the kind of failure, with the exit code for
    broken limits.
    """
    monkeypatch.setattr("simulators.fleet.run.campaign._RAMP_PATIENCE_S", 3.0)
    scenario = _scenario(tmp_path, duration_s=1, settle_s=1)
    trusted, lines = site.folder / "pki" / "ca.crt", ["max_connections 5"]
    if refuses == "certificates":
        ca = pki.create_ca(now=dt.datetime.now(dt.UTC), valid_for=dt.timedelta(days=1))
        trusted, lines = tmp_path / "other.crt", []
        trusted.write_bytes(ca.certificate_pem())
    with _broker(site, tmp_path, trusted, *lines) as port:
        code, report = _run(site, tmp_path, port=port, scenario=scenario)
    said = capfd.readouterr().err
    assert code == 1
    assert report["connected"] == (0 if refuses == "certificates" else 5)
    assert report["links"]
    assert set(report["links"]) <= ({"tls"} if refuses == "certificates" else {"closed", "reset"})
    assert "not every gateway could be connected and leased" in report["notes"][0]
    assert "connections that ended, or never came to be" in said
    assert "Traceback" not in said


def test_another_roster_is_refused(site: Site, tmp_path: Path) -> None:
    """
    A scenario with more gateways than are enrolled, or with a missing bundle, is refused before
    the run.
    """
    scenario = _scenario(tmp_path, duration_s=1, settle_s=1)
    members = tmp_path / "roster.jsonl"
    roster.write(members, site.members[:3])
    where = ["--broker", f"127.0.0.1:{site.port}", "--roster", str(members)]
    assert main(["fleet", str(scenario), *where]) == 2
    gone = [msgspec.structs.replace(m, folder=str(tmp_path / "gone")) for m in site.members]
    roster.write(members, gone)
    assert main(["fleet", str(scenario), *where]) == 1

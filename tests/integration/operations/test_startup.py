"""Programs on databases that are not ready: each names the condition, waits, and goes on."""

import datetime as dt
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime import files
from runtime.settings import TlsSettings
from schema import steps
from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child, free_port, is_listening
from simulators.stack.toml import format_toml
from tests.fixtures.database import Database
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office
from trust.config import CertificateSettings
from trust.enrolment.authority import Authority
from vitalveil.doctor.cli import main as doctor

pytestmark = [pytest.mark.broker, pytest.mark.database]

WITHIN_S: Final = 30.0


class Site:
    """Settings of trust and ingest on *office*'s server, and the processes that run with them."""

    def __init__(
        self, office: Office, broker: Mosquitto, certificates: Certificates, folder: Path
    ) -> None:
        self.office = office
        self.broker = broker
        self.folder = folder
        self._certificates = certificates
        self._running: list[Child] = []
        files.write(folder / "password", office.vault.server.password.encode())
        key = X25519PrivateKey.generate()
        files.write(
            folder / "ingest.key",
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def empty(self, name: str) -> str:
        """Make a database without any schema; return its name."""
        full = f"{self.office.vault.name}_{name}"
        with psycopg.connect(self.office.vault.server.dsn(), autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{full}"'.encode())
        return full

    def settings(self, program: str, *, vault: str | None = None, telemetry: str) -> Path:
        """Write the settings of *program* on databases with these names; return the file."""
        port = self.office.vault.server.port

        def at(name: str, role: str) -> dict[str, Any]:
            dsn = f"host=127.0.0.1 port={port} dbname={name} user={role}"
            return {"dsn": dsn, "password_file": self.folder / "password"}

        tls: TlsSettings = self._certificates.client(program)
        table: dict[str, Any] = {
            "broker": {"port": self.broker.port, "tls": msgspec.to_builtins(tls, enc_hook=str)},
        }
        if program == "ingest":
            table["database"] = at(telemetry, "vv_ingest")
            table["keys"] = {"private_key_file": self.folder / "ingest.key"}
        else:
            table["controller"] = "clinic.example"
            table["keys"] = {"folder": self.office.settings.keys.folder}
            table["vault"] = at(vault or self.office.vault.name, "vv_trust")
            table["telemetry"] = at(telemetry, "vv_trust")
        table["http"] = {"port": free_port()}
        path = self.folder / f"{program}.toml"
        path.write_text(format_toml(table))
        return path

    def start(self, program: str, path: Path, command: str = "run") -> Path:
        """Start *program* with the settings *path*; return its log."""
        log = self.folder / f"{program}.log"
        order = [command, "--config", str(path)]
        argv = [sys.executable, "-m", "vitalveil", program, *order]
        self._running.append(Child(program, argv, log=log))
        return log

    def migrate(self, program: str, path: Path, name: str) -> None:
        """Type the command of a migration."""
        server = self.office.vault.server
        config = ["--config", str(path)] if program == "trust" else []
        subprocess.run(
            [
                sys.executable, "-m", "vitalveil", program, *config, "migrate",
                "--dsn", f"host=127.0.0.1 port={server.port} dbname={name} user=postgres",
                "--password-file", str(self.folder / "password"),
            ],
            check=True, capture_output=True,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop all processes."""
        for child in self._running:
            child.stop()


@pytest.fixture
def site(
    office: Office, broker: Mosquitto, certificates: Certificates, tmp_path: Path
) -> Iterator[Site]:
    """A site whose processes end with the test."""
    folder = tmp_path / "site"
    folder.mkdir(mode=0o700)
    made = Site(office, broker, certificates, folder)
    yield made
    made.stop()


def entries(log: Path) -> list[dict[str, Any]]:
    """Return the lines of *log*."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{")]


def wait_for(log: Path, action: str, **fields: str) -> dict[str, Any]:
    """Return the first entry with *action* and *fields*."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        for entry in entries(log):
            if entry.get("action") == action and fields.items() <= entry.items():
                return entry
        time.sleep(0.05)
    raise AssertionError(f"{action} {fields} is not in the log: {log.read_text()}")


def sessions(site: Site, database: str) -> int:
    """Return how many sessions there are in *database*."""
    found = site.office.vault.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", database
    )
    return int(str(found[0][0]))


def test_trust_on_an_unmigrated_vault_says_migrate_and_goes_on_afterwards(site: Site) -> None:
    """One line, one connection, no broker; after the migration it works without a restart."""
    name = site.empty("vault")
    path = site.settings("trust", vault=name, telemetry=site.office.telemetry.name)
    log = site.start("trust", path)
    told = wait_for(log, "waiting", what="vault")
    assert "the database has no schema of VitalVeil. Run `vitalveil trust migrate`" in told["why"]

    time.sleep(6)
    found = entries(log)
    assert [entry["action"] for entry in found if entry["level"] != "info"] == ["waiting"]
    assert sessions(site, name) <= 2  # The waiting one, and at most a scrape of the metrics.

    site.migrate("trust", path, name)
    wait_for(log, "connected", to="broker")


def test_trust_on_an_earlier_vault_says_how_many_migrations_are_missing(site: Site) -> None:
    """A release that was installed before its migrations were run."""
    last = max(steps.vault_numbers())
    site.office.vault.execute("DELETE FROM public.vv_migrations WHERE number = %s", last)
    path = site.settings("trust", telemetry=site.office.telemetry.name)
    told = wait_for(site.start("trust", path), "waiting", what="vault")
    assert "1 migrations are not applied to the database" in told["why"]


def test_trust_on_a_later_vault_works_and_says_so(site: Site) -> None:
    """The release before runs on a schema, so a later schema stops no program."""
    site.office.vault.execute(
        "INSERT INTO public.vv_migrations (number, name, digest) VALUES (9000, 'later', '')"
    )
    path = site.settings("trust", telemetry=site.office.telemetry.name)
    log = site.start("trust", path)
    told = wait_for(log, "not_as_expected", what="vault")
    assert "later version" in told["why"]
    wait_for(log, "connected", to="broker")


def test_trust_without_telemetry_names_it_and_renews_leases(site: Site) -> None:
    """An unmigrated telemetry database is waited for; one that is away stops no lease."""
    name = site.empty("telemetry")
    path = site.settings("trust", telemetry=name)
    log = site.start("trust", path)
    told = wait_for(log, "waiting", what="telemetry")
    assert "Run `vitalveil ingest migrate`" in told["why"]
    site.stop()

    path = site.settings("trust", telemetry=f"{name}_none")
    log.unlink()
    log = site.start("trust", path)
    told = wait_for(log, "not_as_expected", what="telemetry")
    assert "the database in dsn does not exist" in told["why"]
    wait_for(log, "connected", to="broker")


def test_trust_with_a_wrong_password_says_so_and_goes_on_afterwards(site: Site) -> None:
    """The role that may not log in yet is named by its cause, not by a class of Python."""
    name = f"{site.office.vault.name}_absent"
    path = site.settings("trust", vault=name, telemetry=site.office.telemetry.name)
    log = site.start("trust", path)
    told = wait_for(log, "waiting", what="vault")
    assert "the database in dsn does not exist. Correct dbname" in told["why"]
    assert "Error" not in told["why"]

    assert site.empty("absent") == name
    site.migrate("trust", path, name)
    wait_for(log, "connected", to="broker")


def test_ingest_on_an_unmigrated_database_waits_and_goes_on_afterwards(
    site: Site, database: Database
) -> None:
    """It neither exits nor connects to the broker; after the migration it does its work."""
    name = site.empty("telemetry")
    path = site.settings("ingest", telemetry=name)
    log = site.start("ingest", path)
    told = wait_for(log, "schema", state="missing")
    assert "Run `vitalveil ingest migrate`" in told["why"]

    time.sleep(3)
    found = entries(log)
    assert [entry["action"] for entry in found if entry["level"] != "info"] == ["schema"]
    assert sessions(site, name) <= 3

    site.migrate("ingest", path, name)
    wait_for(log, "broker_connected")


def test_enrolment_service_waits_for_the_vault_and_is_not_ready(
    site: Site, certificates: Certificates
) -> None:
    """Its probe says that it waits; after the migration gateways can be enrolled."""
    name = site.empty("vault")
    path = site.settings("trust", vault=name, telemetry=site.office.telemetry.name)
    tls = certificates.client("enrolment")
    public = site.folder / "ingest.pub"
    key = serialization.load_pem_private_key((site.folder / "ingest.key").read_bytes(), None)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    port, probe = free_port(), free_port()
    serve: dict[str, Any] = msgspec.to_builtins(tls, enc_hook=str)
    serve |= {"ingest_key_file": public, "port": port, "http": {"port": probe}}
    Authority(site.office.settings.keys.folder, CertificateSettings()).create(
        now=dt.datetime.now(dt.UTC)
    )
    path.write_text(path.read_text() + "\n" + format_toml({"serve": serve}))
    log = site.start("trust", path, "serve")

    told = wait_for(log, "waiting", what="vault")
    assert "Run `vitalveil trust migrate`" in told["why"]
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"http://127.0.0.1:{probe}/readyz", timeout=5)
    assert (raised.value.code, "vault" in raised.value.read().decode()) == (503, True)
    raised.value.close()
    assert not is_listening(port)

    site.migrate("trust", path, name)
    deadline = time.monotonic() + WITHIN_S
    while not is_listening(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def find(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, str]]:
    """Return the findings of the doctor by code."""
    doctor([*arguments, "--json"])
    return {one["code"]: one for one in json.loads(capsys.readouterr().out)["rows"]}


def test_doctor_names_the_same_conditions_as_the_programs(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing schemas, with the same commands; and, once all is migrated, none."""
    vault, telemetry = site.empty("vault"), site.empty("telemetry")
    trust = site.settings("trust", vault=vault, telemetry=telemetry)
    ingest = site.settings("ingest", telemetry=telemetry)
    arguments = ["--trust", str(trust), "--ingest", str(ingest), "--least-gib", "0.01"]

    found = find(capsys, *arguments)
    for code, command in (
        ("vault-migrations", "trust migrate"),
        ("trust-telemetry-migrations", "ingest migrate"),
        ("database-schema", "ingest migrate"),
    ):
        assert found[code]["level"] == "wrong"
        assert f"vitalveil {command}" in found[code]["remedy"]

    site.migrate("ingest", ingest, telemetry)
    site.migrate("trust", trust, vault)
    found = find(capsys, *arguments)
    for code in ("vault-migrations", "trust-telemetry-migrations", "database-migrations"):
        assert found[code]["level"] == "sound", found[code]


def test_doctor_says_what_it_can_where_only_trust_is_installed(site: Site) -> None:
    """Numpy is missing: trust, the broker's files and URLs are checked, and ingest is named."""
    trust = site.settings("trust", telemetry=site.office.telemetry.name)
    ingest = site.settings("ingest", telemetry=site.office.telemetry.name)
    script = (
        "import sys\n"
        "for absent in sys.argv[1].split(','):\n"
        "    sys.modules[absent] = None\n"
        "from vitalveil.cli import main\n"
        "sys.exit(main(['doctor', *sys.argv[2:]]))\n"
    )
    arguments = ["--json", "--all", "--trust", str(trust), "--ingest", str(ingest)]
    arguments += ["--broker-acl", str(site.broker.folder / "acl")]
    for absent, program, other in (
        ("numpy", "ingest", "vault-migrations"),
        ("mqtt5,uvloop,numpy", "ingest", "vault-migrations"),
        ("psycopg", "trust", "broker-acl"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, absent, *arguments],
            capture_output=True, text=True, check=False, env=dict(os.environ),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "")
        found = {one["code"]: one for one in json.loads(done.stdout)["rows"]}
        told = found[f"{program}-not-checked"]
        assert f"vitalveil[{program}]" in told["remedy"]
        assert any(code.startswith(other) for code in found), found

"""The command line of trust, from an empty machine to a withdrawal."""

import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from psycopg import sql

from runtime import files
from simulators.stack.postgres import Postgres
from simulators.stack.toml import format_toml
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES
from tests.fixtures.database import Database
from tests.fixtures.vault import POLICIES, Office
from trust.cli import main


def run(*argv: str) -> tuple[int, str, str]:
    """Run a command in this process; return exit code, output and errors."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main.main(argv)
    return code, out.getvalue(), errors.getvalue()


def configure(folder: Path, **changes: Any) -> Path:
    """Write settings with files in *folder*; return the settings file."""
    table: dict[str, Any] = {
        "controller": "clinic.example",
        "vault": {"dsn": "host=127.0.0.1 port=1 dbname=v user=vv_trust"},
        "telemetry": {"dsn": "host=127.0.0.1 port=1 dbname=t user=vv_trust"},
        "keys": {"folder": folder / "keys"},
        "log": {"level": "error"},
        **changes,
    }
    path = folder / "trust.toml"
    path.write_text(format_toml(table))
    return path


@pytest.mark.database
def test_from_nothing_to_a_withdrawal(
    postgres: Postgres, database: Database, tmp_path: Path
) -> None:
    """The commands of the handbook succeed in their order, each with --json."""
    vault = Database(postgres, f"{database.name}_vault", "native")
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(vault.name)))
    password = tmp_path / "password"
    files.write(password, postgres.password.encode())
    admin = ["--dsn", f"host=127.0.0.1 port={postgres.port} user=postgres dbname={vault.name}"]
    admin += ["--password-file", str(password)]
    where = f"host=127.0.0.1 port={postgres.port} user=vv_trust dbname="
    settings = configure(
        tmp_path,
        vault={"dsn": where + vault.name, "password_file": password},
        telemetry={"dsn": where + database.name, "password_file": password},
    )
    ingest_key = tmp_path / "ingest.pub"

    def do(*argv: str) -> dict[str, Any]:
        code, out, errors = run(*argv, "--json", "--config", str(settings))
        assert (code, errors) == (0, "")
        result: dict[str, Any] = json.loads(out)
        return result

    do("init")
    do("pki", "init", "--out", str(tmp_path / "pki"), "--broker-host", "mqtt.example")
    assert do("migrate", *admin)["applied"][:2] == ["0001_vault.sql", "0002_registers.sql"]
    assert do("migrate", *admin)["applied"] == []
    do("check-config")
    do("policy", "load", "--first", str(POLICIES / "care.yaml"))
    subject = do("subject", "add", "--name", "Ada Canary", *INVENTED_BIRTH)["subject"]
    ingest_key.write_bytes((tmp_path / "keys" / "trust.pub").read_bytes())
    code, _, errors = run(
        "agent", "enrol", "--ingest-key", str(ingest_key), "--out", str(tmp_path / "bundle"),
        "--config", str(settings),
    )  # fmt: skip
    assert (code, "not an X25519 key" in errors) == (2, True)
    make_x25519(ingest_key)
    agent = do(
        "agent", "enrol", "--ingest-key", str(ingest_key), "--out", str(tmp_path / "bundle")
    )["agent"]
    granted = do(
        "decision", "record", "--subject", subject, "--purpose", "diabetes-care@1",
        "--quantities", "heart_rate", "--agent", agent, "--binding", "c0:ff:ee:00:00:01",
        *INVENTED_YES,
    )  # fmt: skip
    withdrawn = do("decision", "withdraw", "--subject", subject, "--purpose", "diabetes-care@1")

    assert (granted["lease_version"], withdrawn["lease_version"]) == (1, 2)
    assert granted["withdrawn_at"] is None
    assert withdrawn["withdrawn_at"] <= withdrawn["committed_at"]
    assert issued_to(tmp_path / "bundle" / "agent.crt") == agent


def make_x25519(path: Path) -> None:
    """Write a public key as ingest's keygen does."""
    private = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "X25519"], capture_output=True, check=True
    ).stdout
    public = subprocess.run(
        ["openssl", "pkey", "-pubout"], input=private, capture_output=True, check=True
    ).stdout
    path.write_bytes(public)


def issued_to(path: Path) -> str:
    """Return the common name of a certificate."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    name = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return str(name)


def test_pki_files_are_what_the_broker_wants(tmp_path: Path) -> None:
    """
    `pki init` writes chains that OpenSSL accepts for their use, and keeps the CA's key
    private.
    """
    settings = configure(tmp_path)
    assert run("init", "--config", str(settings))[0] == 0
    pki = tmp_path / "pki"
    argv = ["pki", "init", "--out", str(pki), "--broker-host", "mqtt.example"]
    assert run(*argv, "--config", str(settings))[0] == 0

    assert sorted(path.name for path in pki.iterdir()) == [
        "broker.crt", "broker.key", "ca.crt", "crl.pem", "enrolment.crt", "enrolment.key",
        "ingest.crt", "ingest.key", "trust.crt", "trust.key",
    ]  # fmt: skip
    for name, purpose in (
        ("broker", "sslserver"),
        ("ingest", "sslclient"),
        ("trust", "sslclient"),
    ):
        done = subprocess.run(
            [
                "openssl", "verify", "-purpose", purpose, "-crl_check", "-x509_strict",
                "-CAfile", str(pki / "ca.crt"), "-CRLfile", str(pki / "crl.pem"),
                str(pki / f"{name}.crt"),
            ],
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert run(*argv, "--config", str(settings))[0] == 2, "a second run overwrites nothing"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        pytest.param({"controller": ""}, "controller", id="empty controller"),
        pytest.param({"lease": {"ttl_s": 0.0}}, "lease.ttl_s", id="no life"),
        pytest.param({"lease": {"refresh_at": 1.5}}, "lease.refresh_at", id="too late"),
        pytest.param({"lease": {"ttl": 5.0}}, "lease.ttl", id="unknown key"),
        pytest.param({"vault": {"dsn": "host=x password=hunter2"}}, "vault.dsn", id="password"),
    ],
)
def test_check_config_names_the_key(changes: dict[str, Any], key: str, tmp_path: Path) -> None:
    """A wrong setting is named, with exit code 2 and without its secrets."""
    code, _, errors = run("check-config", "--config", str(configure(tmp_path, **changes)))
    assert code == 2
    assert f"{key} (from" in errors
    assert "hunter2" not in errors


def test_missing_keys_are_said(tmp_path: Path) -> None:
    """Before `init`, the error names the missing command."""
    code, _, errors = run("run", "--config", str(configure(tmp_path)))
    assert (code, "trust init" in errors) == (2, True)


def test_publishing_without_a_broker_is_said(tmp_path: Path) -> None:
    """The daemon does not start without a broker."""
    settings = configure(tmp_path)
    assert run("init", "--config", str(settings))[0] == 0
    code, _, errors = run("run", "--config", str(settings))
    assert (code, "broker (from settings)" in errors) == (2, True)


def test_vault_out_of_reach_is_said(tmp_path: Path) -> None:
    """An unreachable database gives an error of one line, without an address or a name."""
    settings = configure(tmp_path)
    assert run("init", "--config", str(settings))[0] == 0
    code, _, errors = run("subject", "add", "--name", "Ada Canary", "--config", str(settings))
    assert code == 1
    assert errors.count("\n") == 1
    assert "the vault database" in errors
    assert "Canary" not in errors
    assert "127.0.0.1" not in errors


@pytest.mark.database
def test_withdrawal_without_telemetry_is_recorded(office: Office, tmp_path: Path) -> None:
    """
    If the telemetry database is unreachable, the withdrawal is recorded, and the error
    says so.
    """
    office.load_policy()
    subject = office.add_subject()
    agent, _ = office.enrol()
    office.accept(subject, agent)
    settings = configure(
        tmp_path,
        vault={
            "dsn": office.settings.vault.dsn,
            "password_file": office.settings.vault.password_file,
        },
        keys={"folder": office.settings.keys.folder},
    )

    code, _, errors = run(
        "decision", "withdraw", "--subject", subject, "--purpose", "home-monitoring",
        "--config", str(settings),
    )  # fmt: skip

    assert (code, "What was recorded before stands" in errors) == (1, True)
    assert office.app.reconciler.reconcile([agent]).withdrawn_at is not None

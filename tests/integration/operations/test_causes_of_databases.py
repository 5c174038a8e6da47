"""What goes wrong with a database is told by each program in words, with what to do."""

import json
import socket
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import pytest

from ingest import cli as ingest
from runtime import files
from tests.fixtures.database import Database
from tests.fixtures.vault import Office
from tests.support.causes import check
from trust.config import DatabaseSettings
from trust.errors import TrustError
from trust.vault.schema import migrate
from trust.vault.vault import PostgresVault

# paho leaves the socket of a failed TLS handshake to the garbage collector: that of a test, or
# that of the fixture below.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


DATABASES: Final = {
    "server down": ("port", "no server listens on the address of the database. Start"),
    "wrong password": ("password", "the database refused the password. Put the password"),
    "no database": ("dbname", "the database in dsn does not exist. Correct dbname"),
    "no role": ("user", "the database refused the password"),
    "no password": ("none", "the database requires a password"),
    "no such host": ("host", "the host name of the database cannot be resolved"),
}
each_database = pytest.mark.parametrize(("wrong", "cause"), DATABASES.values(), ids=DATABASES)


def where(database: Database, folder: Path, wrong: str) -> list[str]:
    """Return options for an administrator of *database*, of which the one named *wrong* is."""
    password = "swordfish" if wrong == "password" else database.server.password
    files.write(folder / "password", password.encode())
    parts = {
        "host": "db.invalid" if wrong == "host" else "127.0.0.1",
        "port": free_port() if wrong == "port" else database.server.port,
        "dbname": "vv_test_none" if wrong == "dbname" else database.name,
        "user": "vv_test_none" if wrong == "user" else "postgres",
    }
    dsn = " ".join(f"{key}={value}" for key, value in parts.items())
    more = [] if wrong == "none" else ["--password-file", str(folder / "password")]
    return ["--dsn", dsn, *more]


@pytest.mark.database
@each_database
def test_migration_of_telemetry_says_what_is_wrong(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, cause: str
) -> None:
    """`ingest migrate`: six mistakes, six causes."""
    assert ingest.main(["migrate", *where(database, tmp_path, wrong)]) == 1
    check(capsys.readouterr().err, cause)


@pytest.mark.database
@each_database
def test_migration_of_the_vault_says_what_is_wrong(
    office: Office, tmp_path: Path, wrong: str, cause: str
) -> None:
    """`trust migrate`: the same words."""
    _, *options = where(office.vault, tmp_path, wrong)
    settings = DatabaseSettings(options[0], Path(options[2]) if options[1:] else None)
    with pytest.raises(TrustError) as raised:
        migrate(settings, role_password=None)
    check(str(raised.value), cause)


@pytest.mark.database
def test_vault_that_is_not_migrated_says_migrate(office: Office) -> None:
    """A command on an empty database names the command that makes its tables."""
    name = f"{office.vault.name}_empty"
    with psycopg.connect(office.vault.server.dsn(), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
    settings = msgspec.structs.replace(
        office.settings.vault, dsn=office.settings.vault.dsn.replace(office.vault.name, name)
    )
    vault = PostgresVault(settings, office.app.keys)
    try:
        with pytest.raises(TrustError) as raised, vault.transaction() as records:
            records.leases.backlog()
    finally:
        vault.close()
    check(str(raised.value), "trust migrate")


@pytest.mark.database
def test_no_finding_of_the_doctor_is_a_class_of_python(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`vitalveil doctor --trust` with a wrong password says it as trust does."""
    from simulators.stack.toml import format_toml
    from vitalveil.doctor.cli import main

    files.write(tmp_path / "wrong", b"swordfish")
    settings = tmp_path / "trust.toml"
    dsn = office.settings.vault.dsn
    settings.write_text(
        format_toml(
            {
                "controller": "clinic.example",
                "keys": {"folder": office.settings.keys.folder},
                "vault": {"dsn": dsn, "password_file": tmp_path / "wrong"},
                "telemetry": {"dsn": dsn, "password_file": tmp_path / "wrong"},
            }
        )
    )
    assert main(["--trust", str(settings), "--json"]) == 1
    found = {one["code"]: one for one in json.loads(capsys.readouterr().out)["rows"]}
    told = found["vault-reachable"]
    check(f"{told['text']}. {told['remedy']}", "the database refused the password")

"""A real vault beside a real telemetry database, and trust on top of both."""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg import sql

from runtime.settings import BrokerSettings
from simulators.stack.postgres import Postgres
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES
from tests.fix_database import Database
from trust.app import App
from trust.cli import batch
from trust.composition import now
from trust.config import (
    DatabaseSettings,
    ErasureSettings,
    KeysSettings,
    LeaseSettings,
    RepairSettings,
    Settings,
)
from trust.keys import file_keys
from trust.reidentification.reidentification import make_key
from trust.vault import schema
from wire import lease as wire_lease
from wire.lease import Lease

POLICIES = Path(__file__).parents[1] / "trust" / "policies"
_numbers = itertools.count()


class Refusal(Exception):
    """A command of a batch was refused."""


class Office:
    """Trust as an operator has it: commands, two databases, and a folder of keys and bundles."""

    def __init__(self, settings: Settings, folder: Path, vault: Database, telemetry: Database):
        self.settings = settings
        self.folder = folder
        self.vault = vault
        self.telemetry = telemetry
        self.app = App(settings)
        self._bundles = itertools.count()
        self._officers: list[tuple[str, Path]] = []
        pem = (
            X25519PrivateKey.generate()
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        self.ingest_key = folder / "ingest.pub"
        self.ingest_key.write_bytes(pem)

    def run(self, *argv: str) -> dict[str, Any]:
        """Run a command as a batch does; raise Refusal if it is refused."""
        reply, _ = batch.answer(self.app, json.dumps(argv))
        if not reply["ok"]:
            raise Refusal(reply["error"])
        return reply

    def load_policy(self, name: str = "demo.yaml") -> None:
        """Load one of the policies that come with trust."""
        self.run("policy", "load", "--first", str(POLICIES / name))

    def load(self, path: Path) -> dict[str, Any]:
        """Load a policy as it is done in service: with the approvals that it needs."""
        if self.run("policy", "check", str(path))["approvals_needed"]:
            for officer, key in self.officers():
                self.run("policy", "approve", str(path), "--officer", officer, "--key", str(key))
        return self.run("policy", "load", str(path))

    def officers(self) -> list[tuple[str, Path]]:
        """Return two officers, and the file of each one's key."""
        while len(self._officers) < 2:
            key = self.folder / f"officer-{len(self._officers)}.key"
            make_key(key)
            added = self.run(
                "officer", "add", "--role", "dpo", "--public-key", str(key.with_suffix(".pub"))
            )
            self._officers.append((added["officer"], key))
        return self._officers

    def add_subject(self, name: str = "Ada Canary") -> str:
        """Add an adult; return their id."""
        subject: str = self.run("subject", "add", "--name", name, *INVENTED_BIRTH)["subject"]
        return subject

    def enrol(self, *more: str) -> tuple[str, Path]:
        """Enrol an agent; return its id and bundle."""
        out = self.folder / f"bundle-{next(self._bundles)}"
        key = str(self.ingest_key)
        reply = self.run("agent", "enrol", "--ingest-key", key, "--out", str(out), *more)
        return reply["agent"], out

    def accept(
        self, subject: str, agent: str, *more: str, binding: str = "C0:FF:EE:00:00:01"
    ) -> dict[str, Any]:
        """Record a decision for the demo's purpose."""
        return self.run(
            "decision", "record", "--subject", subject, "--purpose", "home-monitoring@1",
            "--agent", agent, "--binding", binding, *INVENTED_YES, *more,
        )  # fmt: skip

    def withdraw(self, subject: str) -> dict[str, Any]:
        """Record a withdrawal from the demo's purpose."""
        return self.run(
            "decision", "withdraw", "--subject", subject, "--purpose", "home-monitoring"
        )

    def lease(self, agent: str, bundle: Path) -> Lease:
        """Return the newest lease of *agent*, opened with its bundle."""
        sealed = self.vault.fetch("SELECT lease FROM vault.agents WHERE agent = %s", agent)[0][0]
        assert isinstance(sealed, bytes)
        return open_lease(sealed, agent, bundle)

    def with_broker(self, broker: BrokerSettings) -> Settings:
        """Return the settings with a broker."""
        return msgspec.structs.replace(self.settings, broker=broker)


def open_lease(sealed: bytes, agent: str, bundle: Path) -> Lease:
    """Return a lease as the agent that has *bundle* reads it."""
    trust_key = serialization.load_pem_public_key((bundle / "trust.pub").read_bytes())
    agent_key = serialization.load_pem_private_key((bundle / "lease.key").read_bytes(), None)
    assert isinstance(trust_key, Ed25519PublicKey)
    assert isinstance(agent_key, X25519PrivateKey)
    return wire_lease.decode(sealed, agent=agent, trust_key=trust_key, agent_key=agent_key)


@pytest.fixture
def office(postgres: Postgres, database: Database, tmp_path: Path) -> Iterator[Office]:
    """Trust with a vault and a telemetry database of this test alone, and no broker."""
    made = make_office(postgres, database, tmp_path)
    yield made
    made.app.close()


def make_office(server: Postgres, database: Database, folder: Path) -> Office:
    """Return trust with a new vault on *server*, beside *database*."""
    vault = _create_vault(server, folder)
    password_file = folder / "vv_trust.password"
    password_file.write_text(server.password)
    settings = Settings(
        vault=settings_of(vault, password_file),
        telemetry=settings_of(database, password_file),
        keys=KeysSettings(folder=folder / "keys"),
        controller="clinic.example",
        lease=LeaseSettings(ttl_s=3600.0),
        repair=RepairSettings(after_s=0.1),
        erasure=ErasureSettings(
            telemetry=settings_of(database, password_file, user="vv_owner"),
            vault=settings_of(vault, password_file, user="vv_owner"),
            ledger_file=folder / "erasures.jsonl",
        ),
    )
    file_keys.create(settings.keys.folder)
    made = Office(settings, folder, vault, database)
    made.app.authority.create(now=now())
    return made


def settings_of(
    database: Database, password_file: Path, *, user: str = "vv_trust"
) -> DatabaseSettings:
    """Return how *user* connects to *database*."""
    dsn = f"host=127.0.0.1 port={database.server.port} dbname={database.name} user={user}"
    return DatabaseSettings(dsn=dsn, password_file=password_file)


def _create_vault(server: Postgres, folder: Path) -> Database:
    name = f"vault_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    vault = Database(server, name, "native")
    password_file = folder / "postgres.password"
    password_file.write_text(server.password)
    schema.migrate(
        settings_of(vault, password_file, user="postgres"), role_password=server.password
    )
    return vault


def pseudonyms(office: Office) -> list[str]:
    """Return every pseudonym in the telemetry database."""
    rows = office.telemetry.fetch(
        "SELECT DISTINCT encode(pseudonym, 'hex') FROM vv.series ORDER BY 1"
    )
    return [str(row[0]) for row in rows]


def measured(office: Office, *, agent: str = "") -> tuple[str, str]:
    """Return a subject with a decision, and her agent."""
    office.load_policy()
    subject = office.add_subject()
    agent = agent or office.enrol()[0]
    office.accept(subject, agent, "--quantities", "heart_rate,glucose_interstitial")
    return subject, agent

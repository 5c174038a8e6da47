"""The checks of trust: its files, the vault, the telemetry database and the broker."""

import contextlib
import datetime as dt
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg

from runtime.database import postgres
from runtime.errors import SessionRefused
from runtime.settings import TlsSettings, load
from schema import steps
from trust.cli import settings_check
from trust.config import ServeSettings, Settings
from trust.vault.database import parameters
from vitalveil.doctor import (
    broker,
    broker_file,
    database,
    files,
    lease_size,
    ledger_file,
    revocation,
    units,
)
from vitalveil.doctor.finding import Finding, Level, wrong
from vitalveil.doctor.programs import connection

_MIGRATE_VAULT = "vitalveil trust migrate"
_MIGRATE_TELEMETRY = "vitalveil ingest migrate"


def look(
    path: Path, *, broker_conf: Path | None, with_broker: bool, now: dt.datetime
) -> Iterator[Finding]:
    """
    Check the trust whose settings are in the file *path*.

    Args:
        path: The settings.

        broker_conf: The mosquitto.conf of the broker, or None.

        with_broker: Whether to talk to the broker; the checks of ingest may have done so.

        now: The time.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = load(Settings, program="trust", path=path, environ=os.environ)
    yield from _secrets(settings)
    if settings.broker is not None:
        tls = list(files.tls("trust", settings.broker.tls, common_name="trust", now=now))
        yield from tls
        if with_broker and any(finding.code == "trust-name" for finding in tls):
            yield from broker.look(settings.broker, now=now)
    if settings.serve is not None:
        yield from _service(settings.serve, now)
    where = parameters(settings.vault, section="vault")
    yield from connection.ask("vault", where, lambda c: _vault(c, settings, broker_conf, now))
    yield from _telemetry(settings)


def _secrets(settings: Settings) -> Iterator[Finding]:
    databases = [("vault", settings.vault), ("telemetry", settings.telemetry)]
    if settings.erasure is not None:
        databases += [
            ("erasure-vault", settings.erasure.vault),
            ("erasure-telemetry", settings.erasure.telemetry),
        ]
    for which, one in databases:
        if one.password_file is not None:
            yield from files.secret(f"trust-{which}-password", one.password_file)
    for key_name, (folder, is_public) in settings_check.folders(settings).items():
        code = f"trust-folder-{key_name.replace('.', '-').replace('_', '-')}"
        yield from files.folder(code, folder, is_public=is_public)
    for key in sorted(settings.keys.folder.glob("*.key")):
        yield from files.secret("trust-keys", key)


def _service(settings: ServeSettings, now: dt.datetime) -> Iterator[Finding]:
    """Check the certificate of the enrolment service, without which no gateway is renewed."""
    pair = TlsSettings(settings.ca_file, settings.certificate_file, settings.key_file)
    yield from files.tls("trust-serve", pair, common_name="enrolment", now=now)


def _telemetry(settings: Settings) -> Iterator[Finding]:
    where = parameters(settings.telemetry, section="telemetry")
    try:
        with postgres.connect(where, limits=connection.LIMITS) as session:
            yield connection.schema(
                "trust-telemetry-migrations",
                session,
                steps.telemetry_numbers(),
                command=_MIGRATE_TELEMETRY,
            )
    except psycopg.Error as error:
        cause = postgres.cause_of(error)
        yield wrong("trust-telemetry-reachable", cause.text, cause.remedy)
    except SessionRefused as error:
        yield wrong("trust-telemetry-session", str(error), "Change the setting as described.")


def _vault(
    session: psycopg.Connection, settings: Settings, conf: Path | None, now: dt.datetime
) -> Iterable[Finding]:
    migrated = connection.schema(
        "vault-migrations", session, steps.vault_numbers(), command=_MIGRATE_VAULT
    )
    if migrated.level is Level.WRONG:
        # The other checks read tables that may not exist yet.
        return [migrated, database.vault(session)]
    reader, broker_takes = None, None
    if conf is not None:
        # A file that cannot be read is a finding of its own.
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = conf.read_text(encoding="utf-8")
            reader = broker_file.revocation_lists(text)
            broker_takes = broker_file.max_packet_bytes(text)
    copy = None if settings.erasure is None else settings.erasure.ledger_file
    return [
        migrated,
        database.vault(session),
        *units.look(session, settings.keys.folder),
        ledger_file.look(session, copy),
        *lease_size.look(session, most=settings.lease.max_packet_bytes, broker_takes=broker_takes),
        *revocation.look(
            session,
            written=settings.certificates.crl_file,
            reader=reader,
            keys=settings.keys.folder,
            now=now,
        ),
    ]

"""The checks of ingest: its files, its database and its broker."""

import datetime as dt
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg

from ingest.config import Settings, read_keys
from ingest.storage.database import DatabaseSettings, connection_string
from runtime.errors import ConfigError
from runtime.settings import load
from vitalveil.doctor import broker, database, files, people
from vitalveil.doctor.finding import Finding
from vitalveil.doctor.programs import connection


def look(
    path: Path,
    *,
    dsn: str | None,
    password_file: Path | None,
    least_gib: float,
    now: dt.datetime,
) -> Iterator[Finding]:
    """
    Check the ingest whose settings are in the file *path*.

    Args:
        path: The settings.

        dsn: The connection string of a role other than ingest's with which to check the database.

        password_file: File with the password for *dsn*.

        least_gib: The least free disk space.

        now: The time.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = load(Settings, program="ingest", path=path, environ=os.environ)
    read_keys(settings.keys)
    yield from files.folder("ingest-folder-keys", settings.keys.private_key_file.parent)
    yield from files.disk(path.resolve().parent, least_gib=least_gib)
    if settings.database.password_file is not None:
        yield from files.secret("ingest-password", settings.database.password_file)
    tls = list(files.tls("ingest", settings.broker.tls, common_name="ingest", now=now))
    yield from tls
    if any(finding.code == "ingest-name" for finding in tls):
        yield from broker.look(settings.broker, now=now)
    where = settings.database
    if dsn:
        where = _database_settings(dsn, password_file)
    conninfo = connection_string(where, application="vitalveil-doctor")
    yield from connection.ask("database", conninfo, _telemetry)


def _database_settings(dsn: str, password_file: Path | None) -> DatabaseSettings:
    try:
        return DatabaseSettings(dsn, password_file)
    except ValueError as error:
        raise ConfigError(
            key="--dsn", source="the command line", problem=str(error), remedy="Correct --dsn."
        ) from None


def _telemetry(session: psycopg.Connection) -> Iterable[Finding]:
    facts = database.ask(session, now=dt.datetime.now(dt.UTC).timestamp())
    found = list(database.judge(facts))
    # Roles of people have nothing to be judged by before there is a schema.
    return found if not facts["schema"] else [*found, *people.judge(people.ask(session))]

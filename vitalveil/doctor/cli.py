"""The command `vitalveil doctor`; exit code 1 means that it has found a fault."""

import argparse
import contextlib
import datetime as dt
import os
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from ingest.config import Settings as IngestSettings
from ingest.config import read_keys
from ingest.storage.database import DatabaseSettings, connection_string
from runtime.command_line import output
from runtime.command_line.parser import Parser
from runtime.database import postgres
from runtime.errors import ConfigError, SessionRefused
from runtime.settings import load
from trust.cli import settings_check
from trust.config import Settings as TrustSettings
from trust.vault.database import parameters
from vitalveil.doctor import (
    broker,
    broker_file,
    database,
    files,
    interpreter,
    lease_size,
    ledger_file,
    people,
    process,
    revocation,
    sessions,
    units,
)
from vitalveil.doctor.finding import Finding, Level, wrong

_LIMITS: Final = postgres.Limits(statement_ms=30_000, lock_ms=2000)
_MARKS: Final = {Level.SOUND: "ok  ", Level.NOTE: "note", Level.WRONG: "BAD "}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings; return 1 if one of them is a fault, otherwise 0."""
    output.prepare()
    arguments = parser().parse_args(argv)
    if not any(value for name, value in vars(arguments).items() if name in _ASKED):
        problem = "name at least one thing to check; see --help"
        output.fail("vitalveil doctor", problem, as_json=arguments.json)
        return 2
    found = list(_look(arguments))
    if arguments.json:
        output.show({"rows": msgspec.to_builtins(found)}, as_json=True)
    else:
        _print(found, everything=arguments.all)
    return 1 if any(finding.level is Level.WRONG for finding in found) else 0


_ASKED: Final = ("ingest", "trust", "broker_conf", "broker_acl", "ingest_url", "trust_url")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="vitalveil doctor",
        description="Find faults of an installation, and say how to repair them. The doctor"
        " changes nothing. Exit code 1 means that it has found a fault.",
    )
    add = whole.add_argument
    add(
        "--ingest", type=Path, metavar="FILE",
        help="settings file of ingest: check its files, database and broker",
    )  # fmt: skip
    add(
        "--trust", type=Path, metavar="FILE",
        help="settings file of trust: check its files and the vault",
    )  # fmt: skip
    add("--broker-conf", type=Path, metavar="FILE", help="check this mosquitto.conf")
    add("--broker-acl", type=Path, metavar="FILE", help="check this acl_file of mosquitto")
    add("--ingest-url", type=_url, metavar="URL", help="check the ingest that serves HTTP here")
    add("--trust-url", type=_url, metavar="URL", help="check the trust that serves HTTP here")
    add(
        "--dsn",
        help="connection string, without a password, of a role other than ingest's with which to"
        " check the telemetry database",
    )
    add("--password-file", type=Path, metavar="FILE", help="file with the password for --dsn")
    add(
        "--least-gib", type=float, default=2.0, metavar="GIB",
        help="least free disk space (default: %(default)s)",
    )  # fmt: skip
    add("--all", action="store_true", help="also show what is in order")
    add("--json", action="store_true", help=output.JSON_HELP)
    return whole


def _url(text: str) -> str:
    parts = urllib.parse.urlsplit(text)
    # `port` raises ValueError for an invalid port, which argparse reports.
    if parts.scheme != "http" or not parts.hostname or parts.port == 0:
        raise argparse.ArgumentTypeError("expected a URL like http://127.0.0.1:9464")
    return text


def _look(arguments: argparse.Namespace) -> Iterator[Finding]:
    now = dt.datetime.now(dt.UTC)
    if arguments.ingest or arguments.trust:
        yield interpreter.version()
        yield interpreter.look()
    if arguments.ingest:
        yield from _settings("ingest", lambda: _ingest(arguments, now))
    if arguments.trust:
        yield from _settings("trust", lambda: _trust(arguments, now))
    if arguments.broker_conf:
        yield from broker.installed()
        yield from _file("broker-conf", arguments.broker_conf, broker_file.configuration)
    if arguments.broker_acl:
        yield from _file("broker-acl-file", arguments.broker_acl, broker_file.rules)
    if arguments.ingest_url:
        yield from process.look(arguments.ingest_url, program="ingest")
    if arguments.trust_url:
        yield from process.look(arguments.trust_url, program="trust")


def _settings(program: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except ConfigError as error:
        yield wrong(f"{program}-settings", f"{error.key}: {error.problem}", error.remedy)


def _file(code: str, path: Path, judge: Callable[[str], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        yield wrong(
            code, f"{path} cannot be read", "Check the path, and which user runs the doctor."
        )
        return
    yield from judge(text)


def _ingest(arguments: argparse.Namespace, now: dt.datetime) -> Iterator[Finding]:
    path: Path = arguments.ingest
    settings = load(IngestSettings, program="ingest", path=path, environ=os.environ)
    read_keys(settings.keys)
    yield from files.folder("ingest-folder-keys", settings.keys.private_key_file.parent)
    yield from files.disk(path.resolve().parent, least_gib=arguments.least_gib)
    if settings.database.password_file is not None:
        yield from files.secret("ingest-password", settings.database.password_file)
    tls = list(files.tls("ingest", settings.broker.tls, common_name="ingest", now=now))
    yield from tls
    if not any(finding.code == "ingest-tls" for finding in tls):
        yield from broker.look(settings.broker, now=now)
    where = settings.database
    if arguments.dsn:
        where = _database_settings(arguments.dsn, arguments.password_file)
    conninfo = connection_string(where, application="vitalveil-doctor")
    yield from _asked("database", conninfo, _telemetry)


def _database_settings(dsn: str, password_file: Path | None) -> DatabaseSettings:
    try:
        return DatabaseSettings(dsn, password_file)
    except ValueError as error:
        raise ConfigError(
            key="--dsn", source="the command line", problem=str(error), remedy="Correct --dsn."
        ) from None


def _asked(
    name: str,
    where: str | Mapping[str, Any],
    ask: Callable[[psycopg.Connection], Iterable[Finding]],
) -> Iterator[Finding]:
    try:
        with _connected(name, where) as (connection, refused):
            around = sessions.judge(sessions.ask(connection), name=name)
            found = [*refused, *ask(connection), *around]
    except psycopg.Error as error:
        # Not the error's text, which names the host and the role.
        why = postgres.meaning(error)
        remedy = "Check dsn and password_file, and that the server runs and admits this role."
        text = (
            f"the database does not answer ({type(error).__name__})" if why is None else why.text
        )
        yield wrong(f"{name}-reachable", text, remedy)
        return
    yield from found


@contextlib.contextmanager
def _connected(
    name: str, where: str | Mapping[str, Any]
) -> Iterator[tuple[psycopg.Connection, list[Finding]]]:
    """Yield a session as the programs have it; if that is refused, any session and the reason."""
    try:
        with postgres.connect(where, limits=_LIMITS, path=postgres.WITH_PUBLIC) as connection:
            yield connection, []
            return
    except SessionRefused as error:
        finding = wrong(
            f"{name}-session",
            f"no program of VitalVeil can use this database: {error}",
            "Change the setting as described.",
        )
    with postgres.connect_as_found(where) as connection:
        yield connection, [finding]


def _telemetry(connection: psycopg.Connection) -> Iterable[Finding]:
    found = database.judge(database.ask(connection, now=dt.datetime.now(dt.UTC).timestamp()))
    return [*found, *people.judge(people.ask(connection))]


def _vault(
    connection: psycopg.Connection, settings: TrustSettings, conf: Path | None, now: dt.datetime
) -> Iterable[Finding]:
    reader, broker_takes = None, None
    if conf is not None:
        # A file that cannot be read is a finding of `_file`.
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = conf.read_text(encoding="utf-8")
            reader = broker_file.revocation_lists(text)
            broker_takes = broker_file.max_packet_bytes(text)
    copy = None if settings.erasure is None else settings.erasure.ledger_file
    return [
        database.vault(connection),
        *units.look(connection, settings.keys.folder),
        ledger_file.look(connection, copy),
        *lease_size.look(
            connection, most=settings.lease.max_packet_bytes, broker_takes=broker_takes
        ),
        *revocation.look(
            connection,
            written=settings.certificates.crl_file,
            reader=reader,
            keys=settings.keys.folder,
            now=now,
        ),
    ]


def _trust(arguments: argparse.Namespace, now: dt.datetime) -> Iterator[Finding]:
    settings = load(TrustSettings, program="trust", path=arguments.trust, environ=os.environ)
    for which, one in (("vault", settings.vault), ("telemetry", settings.telemetry)):
        if one.password_file is not None:
            yield from files.secret(f"trust-{which}-password", one.password_file)
    for key_name, (folder, is_public) in settings_check.folders(settings).items():
        code = f"trust-folder-{key_name.replace('.', '-').replace('_', '-')}"
        yield from files.folder(code, folder, is_public=is_public)
    for key in sorted(settings.keys.folder.glob("*.key")):
        yield from files.secret("trust-keys", key)
    if settings.broker is not None:
        yield from files.tls("trust", settings.broker.tls, common_name="trust", now=now)
    where = parameters(settings.vault, section="vault")
    yield from _asked("vault", where, lambda c: _vault(c, settings, arguments.broker_conf, now))


def _print(found: Sequence[Finding], *, everything: bool) -> None:
    for finding in sorted(found, key=lambda f: list(Level).index(f.level), reverse=True):
        if finding.level is Level.SOUND and not everything:
            continue
        print(f"{_MARKS[finding.level]}  {finding.code}: {finding.text}")
        if finding.remedy:
            print(f"        {finding.remedy}")
    counts = {level: sum(f.level is level for f in found) for level in Level}
    print(
        f"faults: {counts[Level.WRONG]}, notes: {counts[Level.NOTE]},"
        f" in order: {counts[Level.SOUND]}"
    )

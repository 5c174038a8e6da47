"""Commands that set an installation up: keys, certificates, the vault's schema, settings."""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from runtime.tls import client_context
from trust.cli import settings_check
from trust.cli.command import (
    Arguments,
    Folder,
    NoArguments,
    Option,
    Result,
    SetupCommand,
)
from trust.composition import now
from trust.config import DatabaseSettings, Settings
from trust.enrolment.authority import Authority
from trust.errors import UsageError
from trust.keys import file_keys, files
from trust.keys.file_keys import FileKeys
from trust.vault import schema
from trust.vault.database import parameters


class KeysMade(Result, frozen=True, kw_only=True):
    """The files of a new installation."""

    folder: str
    files: list[str]


def _init(settings: Settings, _: NoArguments) -> KeysMade:
    made = file_keys.create(settings.keys.folder)
    return KeysMade(folder=str(settings.keys.folder), files=[path.name for path in made])


class MakePki(Arguments, frozen=True, kw_only=True):
    """Arguments: the folder of the certificates, and the broker's host names."""

    out: Folder
    broker_host: Annotated[
        list[str],
        Option(
            help="a name or address of the broker and the enrolment service; may be repeated",
            metavar="HOST", is_repeatable=True,
        ),
    ] = msgspec.field(default_factory=list)  # fmt: skip


class PkiMade(Result, frozen=True, kw_only=True):
    """Result: the folder of the certificates."""

    folder: str


def _make_pki(settings: Settings, arguments: MakePki) -> PkiMade:
    out = Path(arguments.out)
    authority = Authority(settings.keys.folder, settings.certificates)
    authority.create(now=now())
    hosts = arguments.broker_host or ["localhost", "127.0.0.1"]
    authority.issue_services(out, hosts=hosts, now=now())
    return PkiMade(folder=str(out))


class Migrate(Arguments, frozen=True, kw_only=True):
    """Arguments: the database, the administrator, and the password of trust's own role."""

    dsn: Annotated[str, Option(help="the vault database, as an administrator; without a password")]
    password_file: Annotated[
        str | None, Option(help="the file with the password of that administrator")
    ] = None
    role_password: Annotated[
        str | None,
        Option(
            help="let the role vv_trust log in, with the password in FILE",
            metavar="vv_trust=FILE",
        ),
    ] = None


class Migrated(Result, frozen=True, kw_only=True):
    """Result: the migrations that this run applied."""

    applied: list[str]


def _migrate(_: Settings, arguments: Migrate) -> Migrated:
    given = arguments.password_file
    where = DatabaseSettings(arguments.dsn, None if given is None else Path(given))
    password = None
    if arguments.role_password is not None:
        role, _equals, path = arguments.role_password.partition("=")
        if role != "vv_trust" or not path:
            raise UsageError("write it as --role-password vv_trust=FILE")
        password = files.read_secret(Path(path)).decode().strip()
    return Migrated(applied=schema.migrate(where, role_password=password))


class ConfigChecked(Result, frozen=True, kw_only=True):
    """Result: the settings can be used."""

    config: str
    leases: str


def check_config(settings: Settings, _: NoArguments) -> ConfigChecked:
    """
    Check that every file and folder of *settings* can be used; raise otherwise.

    Raises:
        ConfigError: A file or folder cannot be used; the error names the setting's key.
        KeyFileError: A key is missing or damaged.
    """
    parameters(settings.vault, section="vault")
    parameters(settings.telemetry, section="telemetry")
    keys = FileKeys(settings.keys.folder)
    if settings.broker is not None:
        client_context(settings.broker.tls, section="broker.tls")
    if settings.erasure is not None:
        parameters(settings.erasure.telemetry, section="erasure.telemetry")
        parameters(settings.erasure.vault, section="erasure.vault")
    settings_check.check_service(settings)
    settings_check.check_folders(settings)
    return ConfigChecked(config="usable", leases=settings_check.check_leases(settings, keys))


COMMANDS: Final = (
    SetupCommand(
        name="init",
        help="Make the keys of a new installation",
        details="Keep a backup of the key folder: without it, the vault cannot be read.",
        example="init --config trust.toml",
        arguments=NoArguments,
        result=KeysMade,
        run=_init,
    ),
    SetupCommand(
        name="migrate",
        help="Create the schema of the vault, or update it",
        example="migrate --dsn 'host=127.0.0.1 dbname=vault user=postgres'"
        " --role-password vv_trust=password.txt",
        arguments=Migrate,
        result=Migrated,
        run=_migrate,
    ),
    SetupCommand(
        name="check-config",
        help="Check that the settings, and the files that they name, can be used",
        arguments=NoArguments,
        result=ConfigChecked,
        run=check_config,
    ),
    SetupCommand(
        name="pki init",
        help="Make the certificate authority, and the certificates of broker and services",
        example="pki init --out pki --broker-host mqtt.example",
        arguments=MakePki,
        result=PkiMade,
        run=_make_pki,
    ),
)

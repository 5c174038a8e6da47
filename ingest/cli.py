"""`vitalveil ingest`: run, migrate, check-config, keygen, quarantine."""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest import app
from ingest.config import Settings, read_keys
from ingest.errors import StoreError
from ingest.storage import reopening
from ingest.storage.database import DatabaseSettings, connection_string
from ingest.storage.migrate import migrate
from runtime import files
from runtime.causes.files import of_file
from runtime.command_line import output
from runtime.command_line.parser import EXIT_CODES, Parser
from runtime.database.postgres import read_secret
from runtime.errors import ConfigError, RuntimeSetupError
from runtime.settings import load
from runtime.tls import client_context
from schema import roles
from wire.topics import is_agent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that *argv* names; return the exit code."""
    output.prepare()
    arguments = parser().parse_args(argv)
    try:
        return _COMMANDS[arguments.command](arguments)
    except ConfigError as error:
        output.fail("vitalveil ingest", error, as_json=arguments.json)
        return 2
    except StoreError as error:
        problem = f"the database cannot be used: {error}"
        output.fail(f"vitalveil ingest {arguments.command}", problem, as_json=arguments.json)
        return 1
    except RuntimeSetupError as error:
        output.fail(f"vitalveil ingest {arguments.command}", error, as_json=arguments.json)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="vitalveil ingest",
        description="Receive sealed envelopes over MQTT, and store permitted observations.",
        epilog=EXIT_CODES,
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("run", "receive, store and acknowledge envelopes until a stop signal"),
        ("check-config", "check the settings and every file that they name, without connecting"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", type=Path, metavar="FILE", help="settings file, in TOML")
    text = "create the schema of the telemetry database, or update it to this version"
    command = commands.add_parser("migrate", help=text, description=text)
    _add_administrator(command)
    command.add_argument(
        "--role-password",
        action="append",
        default=[],
        metavar="ROLE=FILE",
        help="allow ROLE to log in with the password in FILE; can be given several times; roles "
        f"are {', '.join(roles.TELEMETRY)}",
    )
    _add_quarantine(commands)
    text = "make the key pair of ingest: ingest.key (private) and ingest.pub (public)"
    command = commands.add_parser("keygen", help=text, description=text)
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the two files"
    )
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help=output.JSON_HELP)
    return whole


def _add_administrator(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dsn",
        required=True,
        help="connection string of a database administrator, without the password",
    )
    command.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="file that holds the administrator's password",
    )


def _add_quarantine(commands: "argparse._SubParsersAction[Any]") -> None:
    text = "show the envelopes in quarantine, open them again, or give them up"
    command = commands.add_parser("quarantine", help=text, description=text)
    command.add_argument(
        "step",
        choices=("show", "reopen", "give-up"),
        help="show: count the envelopes by reason, with the dates on which they are deleted; "
        "reopen: open the envelopes again with the present keys, and store what is permitted; "
        "give-up: settle the envelopes of one gateway that no key opens, so that the gateway "
        "deletes them; this cannot be undone",
    )
    command.add_argument("--agent", help="give-up: id of the gateway, 16 hexadecimal digits")
    command.add_argument(
        "--reason", help="give-up: the reason, kept in the database for later questions"
    )
    command.add_argument(
        "--ahead",
        action="store_true",
        help="give-up: include envelopes above the highest settled sequence of their spool; such "
        "an envelope may be a forgery of one that the gateway has not sent yet",
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings file, in TOML")
    _add_administrator(command)


def _load(arguments: argparse.Namespace) -> Settings:
    return load(Settings, program="ingest", path=arguments.config, environ=os.environ)


def _run(arguments: argparse.Namespace) -> int:
    return app.run(_load(arguments))


def _check_config(arguments: argparse.Namespace) -> int:
    settings = _load(arguments)
    read_keys(settings.keys)
    client_context(settings.broker.tls, section="broker.tls")
    connection_string(settings.database, application="vitalveil-ingest")
    if arguments.json:
        output.show({"config": "usable"}, as_json=True)
    else:
        print("The settings are complete, and all files that they name can be used.")
    return 0


def _administrator(arguments: argparse.Namespace) -> DatabaseSettings:
    try:
        return DatabaseSettings(arguments.dsn, arguments.password_file)
    except ValueError as error:
        raise ConfigError(
            key="--dsn", source="the command line", problem=str(error), remedy="Correct --dsn."
        ) from None


def _quarantine(arguments: argparse.Namespace) -> int:
    conninfo = connection_string(_administrator(arguments), application="vitalveil-quarantine")
    if arguments.step == "show":
        found: object = asyncio.run(reopening.summary(conninfo))
    elif arguments.step == "give-up":
        agent, reason = _given_up(arguments)
        found = asyncio.run(
            reopening.give_up(conninfo, agent, reason=reason, ahead=arguments.ahead)
        )
    else:
        settings = _load(arguments)
        found = asyncio.run(
            reopening.Reopening(
                conninfo,
                keys=read_keys(settings.keys),
                clock=settings.clock,
                now_ms=app.now_ms,
            ).run()
        )
    fields = {"rows": found} if isinstance(found, list) else msgspec.to_builtins(found)
    _show(fields, arguments)
    return 0


def _show(fields: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    # Into a pipe these commands have always printed JSON, and scripts read it.
    output.show(fields, as_json=arguments.json or not sys.stdout.isatty())


def _given_up(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the gateway whose envelopes are to be given up, and the reason."""
    agent: str = arguments.agent or ""
    reason: str = (arguments.reason or "").strip()
    for key, is_right, problem in (
        ("--agent", is_agent(agent), "the id of a gateway has 16 hexadecimal digits"),
        ("--reason", 0 < len(reason) <= 500, "the reason must have 1 to 500 characters"),
    ):
        if not is_right:
            raise ConfigError(
                key=key,
                source="the command line",
                problem=problem,
                remedy="Name the gateway with --agent, and the reason with --reason.",
            )
    return agent, reason


def _migrate(arguments: argparse.Namespace) -> int:
    settings = _administrator(arguments)
    passwords = dict(_role_password(text) for text in arguments.role_password)
    applied = migrate(settings, passwords=passwords)
    if arguments.json:
        output.show({"applied": applied}, as_json=True)
    else:
        print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
    return 0


def _role_password(text: str) -> tuple[str, str]:
    role, _, file = text.partition("=")
    if role not in roles.TELEMETRY or not file:
        raise ConfigError(
            key="--role-password",
            source="the command line",
            problem="the value is not ROLE=FILE with a role of VitalVeil",
            remedy=f"The roles are {', '.join(roles.TELEMETRY)}.",
        )
    return role, read_secret(Path(file), key="--role-password")


def _keygen(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.out
    key = X25519PrivateKey.generate()
    pair = {
        "ingest.key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        "ingest.pub": key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in pair.items():
            # Never overwrite a key: envelopes that are sealed to it could not be opened any more.
            mode = files.SECRET if name.endswith(".key") else files.PUBLIC
            files.write(folder / name, data, mode=mode, replace=False)
    except files.UnsafePlace as error:
        raise ConfigError(
            key="--out",
            source=str(folder),
            problem=str(error),
            remedy="Name a folder that only you can write to.",
        ) from None
    except OSError as error:
        raise ConfigError(
            key="--out",
            source=str(folder),
            problem=f"the key pair cannot be written there: {of_file(error).text}",
            remedy="Name a folder that can be written to and that holds no key yet.",
        ) from None
    _show({name: str(folder / name) for name in pair}, arguments)
    return 0


_COMMANDS = {
    "run": _run,
    "check-config": _check_config,
    "migrate": _migrate,
    "keygen": _keygen,
    "quarantine": _quarantine,
}

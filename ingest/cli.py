"""`vitalveil ingest`: run, migrate, check-config, keygen, quarantine."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

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
from runtime.database.postgres import read_secret
from runtime.errors import ConfigError, RuntimeSetupError
from runtime.settings import load
from runtime.tls import client_context
from schema import roles
from wire.topics import is_agent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that *argv* names; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _COMMANDS[arguments.command](arguments)
    except ConfigError as error:
        print(f"vitalveil ingest: {error}", file=sys.stderr)
        return 2
    except (RuntimeSetupError, StoreError) as error:
        print(f"vitalveil ingest {arguments.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vitalveil ingest", description="Envelopes in, time series out."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("run", "receive, store and acknowledge until a stop signal"),
        ("check-config", "read the settings and every file that they name, and say what is wrong"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", type=Path, metavar="FILE", help="settings, in TOML")
    text = "bring the telemetry database to the schema of this software"
    command = commands.add_parser("migrate", help=text, description=text)
    command.add_argument("--dsn", required=True, help="of an administrator, without a password")
    command.add_argument("--password-file", type=Path, metavar="FILE", help="its password")
    command.add_argument(
        "--role-password",
        action="append",
        default=[],
        metavar="ROLE=FILE",
        help=f"let ROLE log in with the password in FILE; one of {', '.join(roles.TELEMETRY)}",
    )
    _add_quarantine(commands)
    text = "make ingest's key pair: ingest.key (private) and ingest.pub"
    command = commands.add_parser("keygen", help=text, description=text)
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser


def _add_quarantine(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "look at the quarantine, or store what a key of ours opens now"
    command = commands.add_parser("quarantine", help=text, description=text)
    command.add_argument(
        "step",
        choices=("show", "reopen", "give-up"),
        help="show: how much there is, and until when; reopen: open it again, and store what is "
        "permitted; give-up: let a gateway forget what no key opens, for ever",
    )
    command.add_argument("--agent", help="give-up: of which gateway")
    command.add_argument("--reason", help="give-up: why, for those who ask later")
    command.add_argument(
        "--ahead",
        action="store_true",
        help="give-up: also above the last sequence that was ever settled of its spool, where a "
        "forgery may lie of an envelope to come",
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, in TOML")
    command.add_argument("--dsn", required=True, help="of an administrator, without a password")
    command.add_argument("--password-file", type=Path, metavar="FILE", help="its password")


def _load(arguments: argparse.Namespace) -> Settings:
    return load(Settings, program="ingest", path=arguments.config, environ=os.environ)


def _run(arguments: argparse.Namespace) -> int:
    return app.run(_load(arguments))


def _check_config(arguments: argparse.Namespace) -> int:
    settings = _load(arguments)
    read_keys(settings.keys)
    client_context(settings.broker.tls, section="broker.tls")
    connection_string(settings.database, application="vitalveil-ingest")
    print("The settings are complete, and every file that they name can be used.")
    return 0


def _administrator(arguments: argparse.Namespace) -> DatabaseSettings:
    try:
        return DatabaseSettings(arguments.dsn, arguments.password_file)
    except ValueError as error:
        raise ConfigError(
            key="--dsn", source="the command line", problem=str(error), mend="Change it."
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
    print(msgspec.json.encode(found).decode())
    return 0


def _given_up(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return which gateway's envelopes to give up, and why."""
    agent: str = arguments.agent or ""
    reason: str = (arguments.reason or "").strip()
    for key, is_right, problem in (
        ("--agent", is_agent(agent), "not the id of a gateway: 16 hexadecimal digits"),
        ("--reason", 0 < len(reason) <= 500, "not a reason of 1 to 500 characters"),
    ):
        if not is_right:
            raise ConfigError(
                key=key,
                source="the command line",
                problem=problem,
                mend="Say whose envelopes are to be given up, and why.",
            )
    return agent, reason


def _migrate(arguments: argparse.Namespace) -> int:
    settings = _administrator(arguments)
    passwords = dict(_role_password(text) for text in arguments.role_password)
    applied = migrate(settings, passwords=passwords)
    print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
    return 0


def _role_password(text: str) -> tuple[str, str]:
    role, _, file = text.partition("=")
    if role not in roles.TELEMETRY or not file:
        raise ConfigError(
            key="--role-password",
            source="the command line",
            problem="not ROLE=FILE with a role of ours",
            mend=f"Roles are: {', '.join(roles.TELEMETRY)}.",
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
            # Never over a key that is there: what was sealed to it could not be opened any more.
            mode = files.SECRET if name.endswith(".key") else files.PUBLIC
            files.write(folder / name, data, mode=mode, replace=False)
    except files.UnsafePlace as error:
        raise ConfigError(
            key="--out",
            source=str(folder),
            problem=str(error),
            mend="Name a folder that is yours alone.",
        ) from None
    except OSError as error:
        raise ConfigError(
            key="--out",
            source=str(folder),
            problem=f"cannot write there ({type(error).__name__})",
            mend="Name a folder that can be written and holds no key yet.",
        ) from None
    print(msgspec.json.encode({name: str(folder / name) for name in pair}).decode())
    return 0


_COMMANDS = {
    "run": _run,
    "check-config": _check_config,
    "migrate": _migrate,
    "keygen": _keygen,
    "quarantine": _quarantine,
}

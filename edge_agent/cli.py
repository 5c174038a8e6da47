"""`vitalveil agent`: run the gateway, check its settings, inspect its spool and its sensors."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.config import AgentSettings
from edge_agent.doctor import cli as upkeep
from edge_agent.enrolment import cli as enrolment
from edge_agent.errors import SpoolError
from recordings.arguments import add_answers
from runtime import settings
from runtime.command_line import output
from runtime.command_line.parser import EXIT_CODES, Parser
from runtime.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*; return 0, 1 for a failure, or 2 for wrong settings."""
    output.prepare()
    arguments = parser().parse_args(argv)
    try:
        return _do(arguments, os.environ)
    except ConfigError as exc:
        output.fail("vitalveil agent", exc, as_json=arguments.json)
        return 2
    except SpoolError as exc:
        output.fail("vitalveil agent", exc, as_json=arguments.json)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="vitalveil agent",
        description="Run and inspect the gateway beside the sensors.",
        epilog=EXIT_CODES,
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    config = Parser(add_help=False)
    config.add_argument("--json", action="store_true", help=output.JSON_HELP)
    config.add_argument(
        "--config",
        type=Path,
        help="settings, a TOML file; each key can also be set as VITALVEIL_AGENT_...",
    )
    commands.add_parser("run", parents=[config], help="read sensors and publish until stopped")
    commands.add_parser("check-config", parents=[config], help="read all settings and key files")
    _add_radio(commands)
    enrolment.add_to(commands, config)
    spool = commands.add_parser("spool", help="inspect the spool, also while the agent runs")
    views = spool.add_subparsers(dest="view", required=True, metavar="VIEW")
    views.add_parser(
        "show", parents=[config], help="show how much is stored and how much was sent"
    )
    views.add_parser("verify", parents=[config], help="check the spool for damage")
    views.add_parser("purge", parents=[config], help="delete everything that is unsent, for ever")
    _add_import(commands, config)
    commands.add_parser("doctor", parents=[config], help="check the health of this gateway")
    erase = commands.add_parser(
        "erase", parents=[config], help="erase the keys and everything that is stored here"
    )
    erase.add_argument("--yes", action="store_true", help="confirm; without it nothing is erased")
    erase.add_argument(
        "--keep-identity", action="store_true", help="keep the TLS key and certificate"
    )
    return whole


def _add_import(
    commands: "argparse._SubParsersAction[Any]", config: argparse.ArgumentParser
) -> None:
    command = commands.add_parser(
        "import",
        parents=[config],
        help="seal a person's own history, from a file, like readings of their sensor",
        description="Read the export of a sensor or an app, and seal what consent and policy"
        " allow. The agent must be stopped; it sends what was sealed when it starts again.",
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the export")
    command.add_argument(
        "--sensor",
        required=True,
        metavar="ADDRESS",
        help="the address that is bound to the person whose readings these are",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="decide and count, and seal nothing"
    )
    add_answers(command)


def _add_radio(commands: "argparse._SubParsersAction[Any]") -> None:
    radio = Parser(add_help=False)
    radio.add_argument("--json", action="store_true", help=output.JSON_HELP)
    radio.add_argument(
        "--adapter",
        metavar="hciN",
        help="Bluetooth adapter; default: the first that is switched on",
    )
    scan = commands.add_parser("scan", parents=[radio], help="list the sensors in reach")
    scan.add_argument(
        "--all", action="store_true", help="also list devices that the agent cannot read"
    )
    scan.add_argument(
        "--seconds", type=float, help="stop after this many seconds; default: at Ctrl-C"
    )
    pair = commands.add_parser("pair", parents=[radio], help="pair with one sensor")
    pair.add_argument("sensor", metavar="ADDRESS", help="its address, as `scan` shows it")
    pair.add_argument(
        "--window", type=float, default=120.0, help="how long to wait for the sensor, in seconds"
    )
    pair.add_argument(
        "--anew",
        action="store_true",
        help="forget an earlier bond first, for a sensor that has lost it",
    )
    passkey = pair.add_mutually_exclusive_group()
    passkey.add_argument(
        "--passkey-file", type=Path, help="a file with the six digits; default: ask for them"
    )
    passkey.add_argument(
        "--no-passkey", action="store_true", help="for a sensor without a display"
    )


def _do(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.command in ("scan", "pair"):
        # Imported here because no other command needs bleak and rich. Settings are not read: a
        # scan must work before the gateway is enrolled.
        from edge_agent.bluetooth import cli as radio

        return radio.run(arguments)
    if arguments.command in ("enrol", "renew"):
        return enrolment.run(arguments)

    def read() -> AgentSettings:
        return settings.load(
            AgentSettings, program="agent", path=arguments.config, environ=environ
        )

    chosen = read()
    if arguments.command not in ("run", "check-config"):
        return _look_after(arguments, chosen)
    # Imported here because inspecting a spool needs neither aiomqtt nor the rest.
    from edge_agent import app

    if arguments.command == "check-config":
        report = app.check(chosen)
        if arguments.json:
            output.show(msgspec.structs.asdict(report), as_json=True)
        else:
            print(
                f"sound: agent {report.agent}, broker {report.broker}, state in {report.state_dir}"
            )
        return 0
    return app.run(chosen, read=read)


def _look_after(arguments: argparse.Namespace, chosen: AgentSettings) -> int:
    if arguments.command == "doctor":
        return upkeep.doctor(chosen, as_json=arguments.json)
    if arguments.command == "import":
        # Imported here because no other command needs the pipeline and the readers of files.
        from edge_agent.file_import import cli as file_import

        return file_import.import_file(arguments, chosen)
    if arguments.command == "erase":
        return upkeep.erase(
            chosen,
            is_sure=arguments.yes,
            keep_identity=arguments.keep_identity,
            as_json=arguments.json,
        )
    if arguments.view == "verify":
        return upkeep.verify(chosen, as_json=arguments.json)
    if arguments.view == "purge":
        return upkeep.purge(chosen, as_json=arguments.json)
    return upkeep.show(chosen, as_json=arguments.json)

"""`vitalveil agent`: run the gateway, check its settings, look at its spool and around it."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_agent.config import AgentSettings
from edge_agent.doctor import cli as upkeep
from edge_agent.enrolment import cli as enrolment
from edge_agent.errors import SpoolError
from runtime import settings
from runtime.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Do what *argv* asks; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _do(arguments, os.environ)
    except ConfigError as exc:
        print(f"vitalveil agent: {exc}", file=sys.stderr)
        return 2
    except SpoolError as exc:
        print(f"vitalveil agent: {exc}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vitalveil agent", description="The gateway.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "--config", type=Path, help="TOML file; each key has a twin VITALVEIL_AGENT_..."
    )
    commands.add_parser("run", parents=[config], help="measure and publish until stopped")
    commands.add_parser("check-config", parents=[config], help="read all settings and key files")
    _add_radio(commands)
    enrolment.add_to(commands, config)
    spool = commands.add_parser("spool", help="look at the spool, beside a running agent or not")
    views = spool.add_subparsers(dest="view", required=True, metavar="VIEW")
    show = views.add_parser("show", parents=[config], help="how much is in it, and went through")
    show.add_argument("--json", action="store_true", help="one JSON object")
    views.add_parser("verify", parents=[config], help="hold it against all that must hold of it")
    views.add_parser("purge", parents=[config], help="give up all that is unsent, for ever")
    doctor = commands.add_parser("doctor", parents=[config], help="say how this gateway is")
    doctor.add_argument("--json", action="store_true", help="one JSON array")
    erase = commands.add_parser("erase", parents=[config], help="leave nothing readable here")
    erase.add_argument("--yes", action="store_true", help="mean it")
    erase.add_argument("--keep-identity", action="store_true", help="but the TLS key")
    return parser


def _add_radio(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    radio = argparse.ArgumentParser(add_help=False)
    radio.add_argument("--adapter", metavar="hciN", help="the first that is on, unless told")
    scan = commands.add_parser("scan", parents=[radio], help="show the sensors in reach")
    scan.add_argument("--all", action="store_true", help="also what could not be read")
    scan.add_argument("--seconds", type=float, help="end by itself after so long")
    pair = commands.add_parser("pair", parents=[radio], help="make a bond with one sensor")
    pair.add_argument("sensor", metavar="ADDRESS")
    pair.add_argument("--window", type=float, default=120.0, help="how long to wait, in seconds")
    pair.add_argument("--anew", action="store_true", help="forget an earlier bond first")
    passkey = pair.add_mutually_exclusive_group()
    passkey.add_argument("--passkey-file", type=Path, help="holds the six digits; else asked for")
    passkey.add_argument(
        "--no-passkey", action="store_true", help="for a sensor without a display"
    )


def _do(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.command in ("scan", "pair"):
        # Only now: nothing else of the command needs bleak and rich. And no settings: a gateway
        # may be looked around from before it is enrolled.
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
    # Only now: looking at a spool needs neither aiomqtt nor the rest.
    from edge_agent import app

    if arguments.command == "check-config":
        report = app.check(chosen)
        print(f"sound: agent {report.agent}, broker {report.broker}, state in {report.state_dir}")
        return 0
    return app.run(chosen, read=read)


def _look_after(arguments: argparse.Namespace, chosen: AgentSettings) -> int:
    if arguments.command == "doctor":
        return upkeep.doctor(chosen, as_json=arguments.json)
    if arguments.command == "erase":
        return upkeep.erase(chosen, is_sure=arguments.yes, keep_identity=arguments.keep_identity)
    if arguments.view == "verify":
        return upkeep.verify(chosen)
    if arguments.view == "purge":
        return upkeep.purge(chosen)
    return upkeep.show(chosen, as_json=arguments.json)

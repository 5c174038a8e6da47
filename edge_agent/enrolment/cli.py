"""`vitalveil agent enrol` and `agent renew`."""

import argparse
import datetime as dt
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.config import AgentSettings
from edge_agent.errors import CredentialError, DeskRefused, DeskUnavailable
from runtime import settings
from runtime.command_line import output
from runtime.errors import ConfigError

if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers returns.
    Subparsers = argparse._SubParsersAction[Any]


def add_to(commands: "Subparsers", config: argparse.ArgumentParser) -> None:
    """Add the commands `enrol` and `renew` to *commands*."""
    text = "make the keys of this gateway, and get its certificate for a one-time token"
    one = commands.add_parser("enrol", help=text, description=text)
    one.add_argument("--json", action="store_true", help=output.JSON_HELP)
    one.add_argument(
        "--token", required=True, help="the one-time token; - reads it from standard input"
    )
    one.add_argument(
        "--url",
        required=True,
        help="of the enrolment service, `vitalveil trust serve`: https://HOST:8443",
    )
    one.add_argument(
        "--ca", type=Path, required=True, help="the CA certificate of the installation, ca.crt"
    )
    one.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="a private folder for keys and certificates",
    )
    text = "replace the certificate and its key before the certificate expires"
    two = commands.add_parser("renew", parents=[config], help=text, description=text)
    two.add_argument(
        "--if-due",
        action="store_true",
        help="only when the certificate is due: after enrolment.renew_at of its life",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Run the command in *arguments*; return the exit code.

    Raises:
        ConfigError: A setting is wrong.
    """
    try:
        done = _enrol(arguments) if arguments.command == "enrol" else _renew(arguments)
    except (DeskRefused, DeskUnavailable, CredentialError) as exc:
        output.fail(f"vitalveil agent {arguments.command}", exc, as_json=arguments.json)
        return 1
    # Into a pipe these two have always printed JSON, and scripts read it.
    output.show(done, as_json=arguments.json or not sys.stdout.isatty())
    return 0


def _enrol(arguments: argparse.Namespace) -> dict[str, object]:
    # Imported here because no other command speaks HTTP.
    from edge_agent.enrolment import enrol

    given: str = arguments.token
    token = given if given != "-" else sys.stdin.readline()
    agent = enrol.enrol(token=token, url=arguments.url, ca_file=arguments.ca, out=arguments.out)
    return {"agent": agent, "folder": str(arguments.out)}


def _renew(arguments: argparse.Namespace) -> dict[str, object]:
    from edge_agent.enrolment import enrol

    chosen = settings.load(
        AgentSettings, program="agent", path=arguments.config, environ=os.environ
    )
    if chosen.enrolment is None:
        raise ConfigError(
            key="enrolment.url",
            source="settings",
            problem="it is not set, so there is no service that could renew the certificate",
            remedy="Set it to the address of `vitalveil trust serve`: https://HOST:8443.",
        )
    now = dt.datetime.now(dt.UTC)
    tls = chosen.broker.tls
    if arguments.if_due and not enrol.is_due(tls, now=now, renew_at=chosen.enrolment.renew_at):
        return {"agent": chosen.agent, "renewed": False}
    ends_at = enrol.renew(tls, agent=chosen.agent, url=chosen.enrolment.url)
    return {
        "agent": chosen.agent,
        "renewed": True,
        "valid_until": ends_at.isoformat(timespec="seconds"),
    }

"""The commands of trust, and what each takes."""

import argparse
import functools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trust.cli.arguments import erasure, evidence, officers, rights
from trust.cli.arguments.kinds import birth_month, period
from trust.cli.arguments.parser import Parser
from trust.consent.consent import RECORDABLE
from trust.errors import UsageError

if TYPE_CHECKING:
    from trust.cli.arguments.parser import Subparsers


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """
    Return the arguments of a command; `command` is its words, joined by a blank.

    Raises:
        UsageError: It is no command.
    """
    if any(not _is_text(argument) for argument in argv):
        raise UsageError("an argument holds control characters, or is not UTF-8")
    found = _parser().parse_args(argv)
    words = [getattr(found, name, None) for name in ("command", "action")]
    found.command = " ".join(word for word in words if word)
    return erasure.resolve(found)


def _is_text(argument: str) -> bool:
    # Surrogates are what the shell's bytes become when they are no text; neither they nor NUL
    # can be kept in a database.
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in argument)


@functools.cache
def _parser() -> Parser:
    # Kept: a batch parses tens of thousands of commands.
    parser = Parser(prog="vitalveil trust", description="Who may be measured, for what, how long.")
    options = _options()
    parser.add_argument("--config", type=Path, default=None, help="settings, TOML")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    simple = {
        "init": "make the keys of a new installation",
        "run": "renew and publish leases, finish what was cut off",
        "serve": "enrol gateways and renew their certificates, over HTTPS",
        "batch": "run a JSON array of arguments per line of standard input",
        "audit": "see whether every decision is there, and as it was signed",
        "check-config": "read the settings and say whether they can be used",
    }
    for name, text in simple.items():
        commands.add_parser(name, help=text, description=text, parents=[options])
    migrate = commands.add_parser("migrate", help="create or update the vault", parents=[options])
    migrate.add_argument("--dsn", required=True, help="of an administrator, without a password")
    migrate.add_argument("--password-file", type=Path, default=None, help="its password")
    migrate.add_argument(
        "--role-password", default=None, metavar="vv_trust=FILE", help="let it log in with that"
    )
    _add_pki(_group(commands, "pki", "certificates"), options)
    _add_records(commands, options)
    evidence.add(commands, _group, options, RECORDABLE)
    lease = _group(commands, "lease", "what agents may measure")
    publish = lease.add_parser("publish", help="publish what waits", parents=[options])
    publish.add_argument("--renew", default=None, metavar="AGENT", help="issue a new one first")
    text = "after a restore of the vault: newer leases than gateways hold, which else refuse them"
    supersede = lease.add_parser("supersede", help=text, description=text, parents=[options])
    supersede.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
    text = "before a gateway goes back to version 0.1.0: for a time, leases without padding"
    unpad = lease.add_parser("unpad", help=text, description=text, parents=[options])
    which = unpad.add_mutually_exclusive_group(required=True)
    which.add_argument("--agent", default=None, metavar="AGENT", help="that gateway")
    which.add_argument("--all", action="store_true", help="every gateway")
    unpad.add_argument("--valid-for", type=period, default=period("7d"), metavar="7d")
    unit = _group(commands, "unit", "gateways, people, purposes and jobs that were set aside")
    unit.add_parser("list", help="each with its cause and what to do", parents=[options])
    unit.add_parser("retry", help="try all of them again now", parents=[options])
    rights.add(commands, _group, options)
    officers.add(commands, _group, options)
    erasure.add(commands, _group, options)
    return parser


def _options() -> Parser:
    """Return the options that may stand behind a command as well as before it."""
    options = Parser(add_help=False)
    options.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="settings, TOML")
    options.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
    return options


def _group(commands: "Subparsers", name: str, text: str) -> "Subparsers":
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(dest="action", required=True, metavar="ACTION")


def _add_pki(pki: "Subparsers", options: Parser) -> None:
    init = pki.add_parser("init", help="the CA, broker and services", parents=[options])
    init.add_argument("--out", type=Path, required=True, metavar="DIR")
    init.add_argument(
        "--broker-host",
        action="append",
        default=[],
        metavar="HOST",
        help="a name or address that broker and desk are reached by; may be repeated",
    )
    issue = pki.add_parser("issue-agent", help="a new certificate of an agent", parents=[options])
    issue.add_argument("agent", metavar="AGENT")
    issue.add_argument("--out", type=Path, required=True, metavar="DIR")
    revoke = pki.add_parser("revoke", help="trust an agent no more", parents=[options])
    revoke.add_argument("agent", metavar="AGENT")
    revoke.add_argument("--crl", type=Path, default=None, metavar="FILE", help="list to write")
    revoke.add_argument("--yes", action="store_true", help="do not ask whether it is meant")


def _add_records(commands: "Subparsers", options: Parser) -> None:
    officers.add_policies(_group(commands, "policy", "what a purpose needs"), options)
    subject = _group(commands, "subject", "people")
    add = subject.add_parser("add", help="keep a person, sealed", parents=[options])
    add.add_argument("--name", required=True, help="or - to read it from standard input")
    add.add_argument("--born", type=birth_month, default=None, metavar="YYYY-MM")
    rights.add_subject(subject, options)
    agent = _group(commands, "agent", "gateways")
    text = "a one-time token; with --out, a bundle whose keys are made here"
    enrol = agent.add_parser("enrol", help=text, description=text, parents=[options])
    enrol.add_argument("--valid-for", type=period, default=period("1h"), metavar="1h")
    enrol.add_argument("--ingest-key", type=Path, default=None, metavar="FILE")
    enrol.add_argument("--out", type=Path, default=None, metavar="DIR")
    text = "so many bundles, each in a folder of --out that is named after its agent"
    enrol.add_argument("--count", type=int, default=None, metavar="N", help=text)
    enrol.add_argument("--format", choices=("sealed", "json"), default="sealed")
    agent.add_parser("list", help="with lease and certificate", parents=[options])
    text = "one gateway alone uses this identity: its signs of a clone have been looked into"
    vouch = agent.add_parser("vouch", help=text, description=text, parents=[options])
    vouch.add_argument("agent", metavar="AGENT")

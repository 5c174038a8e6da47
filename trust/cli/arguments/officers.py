"""What the commands of the staff take: officers, re-identification, epochs of pseudonyms."""

from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from trust.cli.arguments.kinds import names, period
from trust.domain.reidentify import Basis, OfficerRole

if TYPE_CHECKING:
    from trust.cli.arguments.parser import Group, Parser, Subparsers


def add(commands: "Subparsers", group: "Group", options: "Parser") -> None:
    """Add the commands to *commands*."""
    _add_officers(group(commands, "officer", "who may ask for a name, and approve"), options)
    _add_reidentify(group(commands, "reidentify", "a pseudonym's name"), options)
    _add_pseudonyms(group(commands, "pseudonym", "epochs of pseudonyms"), options)


_LOAD: Final = """\
Loads a version of a purpose. What it allows besides the newest version, and besides each version
that people decided on, is told in words; then it comes into force only once two officers approved
this file and those words. A version that widens nothing needs nobody.
"""


def add_policies(policy: "Subparsers", options: "Parser") -> None:
    """Add the commands to those of `policy`."""
    text = "tell in words what a file would widen; nothing is kept"
    check = policy.add_parser("check", help=text, description=text, parents=[options])
    text = "as an officer: this file, and what it widens"
    approve = policy.add_parser("approve", help=text, description=text, parents=[options])
    load = policy.add_parser(
        "load", help="bring a version into force", description=_LOAD, parents=[options]
    )
    for command in (check, approve, load):
        command.add_argument("file", type=Path, metavar="FILE")
    approve.add_argument("--officer", type=UUID, required=True, metavar="ID")
    approve.add_argument("--key", type=Path, required=True, metavar="FILE.key")
    text = "without officers, as long as there never was a person or an officer here"
    load.add_argument("--first", action="store_true", help=text)


def _add_officers(officer: "Subparsers", options: "Parser") -> None:
    key = officer.add_parser("key", help="make a key pair, on her own machine", parents=[options])
    key.add_argument("--out", type=Path, required=True, metavar="FILE.key")
    add_one = officer.add_parser("add", help="register a key", parents=[options])
    add_one.add_argument("--role", type=OfficerRole, choices=list(OfficerRole), required=True)
    add_one.add_argument("--public-key", type=Path, required=True, metavar="FILE.pub")
    officer.add_parser("list", help="ids and roles, without names", parents=[options])
    end = officer.add_parser("end", help="is one no more", parents=[options])
    end.add_argument("officer", type=UUID, metavar="OFFICER")


def _add_reidentify(group: "Subparsers", options: "Parser") -> None:
    ask = group.add_parser("request", help="ask whose pseudonyms these are", parents=[options])
    ask.add_argument("--purpose", required=True, metavar="NAME")
    ask.add_argument("--pseudonyms", type=names, required=True, metavar="HEX,HEX")
    ask.add_argument("--basis", type=Basis, choices=list(Basis), required=True)
    ask.add_argument("--reason", required=True, help="at least 20 characters, and no name")
    ask.add_argument("--valid-for", type=period, default=period("24h"), metavar="24h")
    show = group.add_parser("show", help="what is asked, to read before", parents=[options])
    show.add_argument("request", type=UUID, metavar="REQUEST")
    approve = group.add_parser("approve", help="as somebody else", parents=[options])
    approve.add_argument("request", type=UUID, metavar="REQUEST")
    opened = group.add_parser("open", help="see the names, once", parents=[options])
    opened.add_argument("request", type=UUID, metavar="REQUEST")
    for command in (ask, approve, opened):
        command.add_argument("--officer", type=UUID, required=True, metavar="ID")
        command.add_argument("--key", type=Path, required=True, metavar="FILE.key")
    log = group.add_parser("log", help="every attempt, the last one first", parents=[options])
    log.add_argument("--limit", type=int, default=50)


def _add_pseudonyms(group: "Subparsers", options: "Parser") -> None:
    rotate = group.add_parser("rotate", help="begin or finish a new epoch", parents=[options])
    rotate.add_argument("--purpose", required=True, metavar="NAME")
    group.add_parser("epochs", help="of all purposes", parents=[options])
    destroy = group.add_parser("destroy", help="an old epoch's root key", parents=[options])
    destroy.add_argument("--purpose", required=True, metavar="NAME")
    destroy.add_argument("--epoch", type=int, required=True)
    destroy.add_argument("--yes", action="store_true", help="do not ask whether it is meant")

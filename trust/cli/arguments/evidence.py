"""What `decision` takes: what a person said, and how that was put on record."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from trust.cli.arguments.kinds import instant, instant_or_now, locale, names, period, sha256
from trust.decisions.decisions import GivenBy, State
from trust.decisions.evidence import Method

if TYPE_CHECKING:
    from trust.cli.arguments.parser import Group, Parser, Subparsers

_GIVERS = [by for by in GivenBy if by is not GivenBy.NOT_STATED]
_RECORD = """\
Records what a person says. Nothing is filled in that was not said: a yes needs --given-by,
--captured-by, --text (or --text-sha256), --locale and --given-at, and is refused without; a no
needs none of them, and neither does a withdrawal.

A purpose that rests on consent takes checkbox, signature, scan (with --scan) or verbal-witnessed
(with --witness). For a purpose that rests on something else it is recorded how the person was
informed: handed-over, read-out, posted, or one of the others.
"""


def add(
    commands: "Subparsers", group: "Group", options: "Parser", recordable: frozenset[State]
) -> None:
    """Add the commands to *commands*; *recordable* are the states besides accepted."""
    decision = group(commands, "decision", "what a person decides")
    record = decision.add_parser(
        "record",
        help="what a person says, and how that is shown",
        description=_RECORD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[options],
    )
    _add_grant(record, recordable)
    record.add_argument(
        "--given-by", type=GivenBy, choices=_GIVERS, default=None, help="who said it"
    )
    _add_said(record, "", of="the person, or of who decides for them")
    record.add_argument("--witness", type=UUID, default=None, metavar="OFFICER", help="heard it")
    record.add_argument("--witness-key", type=Path, default=None, metavar="FILE.key")
    text = "an officer who saw a proof of age, where the month of birth is not known"
    record.add_argument("--of-age", type=UUID, default=None, metavar="OFFICER", help=text)
    record.add_argument("--of-age-key", type=Path, default=None, metavar="FILE.key")
    record.add_argument("--representative", type=UUID, default=None, metavar="ID")
    _add_said(record, "representative-", of="a guardian, with --given-by joint")
    text = "a person withdraws: no evidence is asked for"
    withdraw = decision.add_parser("withdraw", help=text, description=text, parents=[options])
    withdraw.add_argument("--subject", type=UUID, required=True, metavar="ID")
    withdraw.add_argument("--purpose", required=True, metavar="NAME[@VERSION]")
    withdraw.add_argument(
        "--given-by", type=GivenBy, choices=_GIVERS, default=GivenBy.NOT_STATED, help="if known"
    )
    show = decision.add_parser("list", help="of a person, in their order", parents=[options])
    show.add_argument("--subject", type=UUID, required=True, metavar="ID")


def _add_grant(record: "Parser", recordable: frozenset[State]) -> None:
    record.add_argument("--subject", type=UUID, required=True, metavar="ID")
    record.add_argument("--purpose", required=True, metavar="NAME@VERSION")
    text = "all that the purpose names by default"
    record.add_argument("--quantities", type=names, action="extend", default=[], help=text)
    states = [State.ACCEPTED, *sorted(recordable)]
    record.add_argument("--state", type=State, choices=states, default=State.ACCEPTED)
    record.add_argument("--agent", default=None, metavar="AGENT")
    record.add_argument("--binding", action="append", default=[], metavar="ADDRESS")
    record.add_argument("--recipients", type=names, default=None, help=text)
    text = "not before --given-at; now by default"
    record.add_argument("--valid-from", type=instant, default=None, metavar="TIME", help=text)
    text = "until withdrawn by default"
    record.add_argument("--valid-to", type=instant, default=None, metavar="TIME", help=text)
    record.add_argument("--valid-for", type=period, default=None, metavar="90d")


def _add_said(record: "Parser", prefix: str, *, of: str) -> None:
    method = f"--{prefix}captured-by"
    record.add_argument(
        method, type=Method, choices=list(Method), default=None, help=f"how the yes of {of}"
    )
    text = record.add_mutually_exclusive_group()
    text.add_argument(
        f"--{prefix}text", type=Path, default=None, metavar="FILE", help="that they were shown"
    )
    text.add_argument(f"--{prefix}text-sha256", type=sha256, default=None, metavar="HEX")
    record.add_argument(
        f"--{prefix}locale", type=locale, default=None, metavar="fr-FR", help="of that text"
    )
    record.add_argument(
        f"--{prefix}given-at", type=instant_or_now, default=None, metavar="TIME|now"
    )
    record.add_argument(
        f"--{prefix}scan", type=Path, default=None, metavar="FILE", help="of the signed paper"
    )

"""What the commands about a person's rights take: receipts, representatives, requests, exports."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from trust.cli.arguments.kinds import birth_month, instant, instant_or_now, names, period
from trust.decisions.representatives import RepresentativeRole, Shown
from trust.domain.due_dates import RequestKind, RequestOutcome

if TYPE_CHECKING:
    from trust.cli.arguments.parser import Group, Parser, Subparsers


def add(commands: "Subparsers", group: "Group", options: "Parser") -> None:
    """Add the commands to *commands*."""
    _add_receipts(commands, options)
    _add_representatives(group(commands, "representative", "who decides for a person"), options)
    _add_requests(group(commands, "request", "what people asked for, and until when"), options)
    _add_exports(group(commands, "export", "a person's data, for that person"), options)


def add_subject(subject: "Subparsers", options: "Parser") -> None:
    """Add the commands about an identity to those of `subject`."""
    show = subject.add_parser("show", help="who a person is", parents=[options])
    show.add_argument("subject", type=UUID, metavar="SUBJECT")
    rectify = subject.add_parser("rectify", help="correct an identity", parents=[options])
    rectify.add_argument("subject", type=UUID, metavar="SUBJECT")
    rectify.add_argument("--name", default=None, help="or - to read it from standard input")
    rectify.add_argument("--born", type=birth_month, default=None, metavar="YYYY-MM")
    rectify.add_argument("--request", type=UUID, default=None, help="close this request with it")
    subject.add_parser("list", help="ids, without names", parents=[options])


def _add_receipts(commands: "Subparsers", options: "Parser") -> None:
    text = "write a person's decisions, signed, for that person"
    receipt = commands.add_parser("receipt", help=text, description=text, parents=[options])
    receipt.add_argument("subject", type=UUID, metavar="SUBJECT")
    receipt.add_argument("--out", type=Path, required=True, metavar="FILE")
    receipt.add_argument("--valid-for", type=period, default=period("90d"), metavar="90d")
    text = "check a receipt, without a database and without settings"
    verify = commands.add_parser("verify", help=text, description=text, parents=[options])
    verify.add_argument("file", type=Path, metavar="FILE")
    verify.add_argument("--key", type=Path, required=True, metavar="trust.pub")
    verify.add_argument("--subject", type=UUID, default=None, help="whose it should be")
    verify.add_argument("--seen", type=Path, default=None, help="an earlier receipt")
    verify.add_argument("--at", type=instant, default=None, metavar="TIME", help="now by default")


def _add_representatives(group: "Subparsers", options: "Parser") -> None:
    add_one = group.add_parser("add", help="a guardian or a proxy", parents=[options])
    add_one.add_argument("--subject", type=UUID, required=True, metavar="ID")
    add_one.add_argument("--name", required=True, help="or - to read it from standard input")
    add_one.add_argument(
        "--role", type=RepresentativeRole, choices=list(RepresentativeRole), required=True
    )
    text = "what showed that they are one"
    add_one.add_argument("--shown-by", type=Shown, choices=list(Shown), required=True, help=text)
    text = "names, or all; a guardian's are all by default"
    add_one.add_argument("--purposes", type=names, default=None, help=text)
    add_one.add_argument("--valid-from", type=instant, default=None, metavar="TIME")
    add_one.add_argument("--valid-to", type=instant, default=None, metavar="TIME")
    show = group.add_parser("list", help="of a person", parents=[options])
    show.add_argument("--subject", type=UUID, required=True, metavar="ID")
    end = group.add_parser("end", help="a mandate is over", parents=[options])
    end.add_argument("representative", type=UUID, metavar="REPRESENTATIVE")


def _add_requests(group: "Subparsers", options: "Parser") -> None:
    add_one = group.add_parser("add", help="a person asked", parents=[options])
    add_one.add_argument("--subject", type=UUID, required=True, metavar="ID")
    add_one.add_argument("--kind", type=RequestKind, choices=list(RequestKind), required=True)
    text = "the month in which it is to be answered begins then"
    add_one.add_argument(
        "--received-at", type=instant_or_now, required=True, metavar="TIME|now", help=text
    )
    show = group.add_parser("list", help="the one due first at first", parents=[options])
    show.add_argument("--all", action="store_true", help="those that are closed too")
    extend = group.add_parser("extend", help="by two months, once", parents=[options])
    extend.add_argument("request", type=UUID, metavar="REQUEST")
    extend.add_argument("--because", required=True, help="what the person is told")
    close = group.add_parser("close", help="what came of it", parents=[options])
    close.add_argument("request", type=UUID, metavar="REQUEST")
    close.add_argument(
        "--outcome", type=RequestOutcome, choices=list(RequestOutcome), required=True
    )


def _add_exports(group: "Subparsers", options: "Parser") -> None:
    make = group.add_parser("make", help="all that is stored, encrypted", parents=[options])
    make.add_argument("subject", type=UUID, metavar="SUBJECT")
    make.add_argument("--out", type=Path, required=True, metavar="FILE")
    make.add_argument("--passphrase-file", type=Path, required=True, metavar="FILE")
    make.add_argument("--available-for", type=period, default=period("30d"), metavar="30d")
    make.add_argument("--request", type=UUID, default=None, help="close this request with it")
    purge = group.add_parser("purge", help="delete those whose time is over", parents=[options])
    _add_yes(purge)
    text = "decrypt an export, without a database and without settings"
    opened = group.add_parser("open", help=text, description=text, parents=[options])
    opened.add_argument("file", type=Path, metavar="FILE")
    opened.add_argument("--out", type=Path, required=True, metavar="FILE.zip")
    opened.add_argument("--passphrase-file", type=Path, required=True, metavar="FILE")


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")

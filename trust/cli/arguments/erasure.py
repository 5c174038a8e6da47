"""The commands of erasure, restriction and retention, and what each takes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from trust.errors import UsageError

if TYPE_CHECKING:
    from trust.cli.arguments.parser import Group, Parser, Subparsers

_ERASE = """\
erase SUBJECT --scope all|PURPOSE: erase what is stored of a person; one that was cut off goes on.
erase verify NUMBER: look through every store for what erasure NUMBER took.
erase certificate NUMBER: the signed certificate.
erase replay: after a restore, erase again what came back, and let ingest store.
erase check FILE: check a certificate, without any database.
"""


_ACTIONS: Final = frozenset({"verify", "certificate", "replay", "check"})


def add(commands: "Subparsers", group: "Group", options: "Parser") -> None:
    """Add them to *commands*."""
    erase = commands.add_parser(
        "erase",
        help="erase a person's data; verify it; replay it after a restore",
        description=_ERASE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[options],
    )
    erase.add_argument("target", metavar="SUBJECT|verify|certificate|replay|check")
    erase.add_argument("reference", nargs="?", default=None, metavar="NUMBER|FILE")
    erase.add_argument("--scope", default=None, metavar="all|PURPOSE")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.add_argument("--out", type=Path, default=None, metavar="FILE", help="certificate")
    for name, text in (
        ("restrict", "keep a person's data, and do nothing with them (GDPR art. 18)"),
        ("unrestrict", "let them count again"),
    ):
        command = commands.add_parser(name, help=text, description=text, parents=[options])
        command.add_argument("subject", type=UUID, metavar="SUBJECT")
        command.add_argument("--purpose", default=None, metavar="NAME", help="all by default")
    retention = group(commands, "retention", "how long data are kept")
    text = "delete what its purpose needs no longer"
    retention.add_parser("run", help=text, description=text, parents=[options])


def resolve(found: argparse.Namespace) -> argparse.Namespace:
    """
    Return *found* with `erase verify` and its like as commands of their own.

    Raises:
        UsageError: What is to be erased is neither such a word nor a subject.
    """
    if found.command != "erase":
        return found
    if found.target in _ACTIONS:
        found.command = f"erase {found.target}"
        return found
    try:
        found.subject = UUID(found.target)
    except ValueError:
        raise UsageError(
            f"give a subject's id, or one of: {', '.join(sorted(_ACTIONS))}"
        ) from None
    if found.scope is None:
        raise UsageError("say what: --scope all, or --scope with the name of a purpose")
    return found

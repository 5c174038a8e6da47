"""Builds the parsers of the command line from the fields of each command's arguments."""

import argparse
import enum
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trust.cli import registry
from trust.cli.arguments import kinds
from trust.cli.arguments.parser import Parser
from trust.cli.command import Arguments, Command, Entry, Family, Option

if TYPE_CHECKING:
    # argparse has no public name for the type that add_subparsers returns.
    Subparsers = argparse._SubParsersAction[Parser]

_PROGRAM: Final = "vitalveil trust"
_DESCRIPTION: Final = """\
Trust keeps the people who are measured, their decisions and the gateways, and issues the leases
that say what a gateway may measure.

Set it up (init, pki init, migrate, check-config), load a policy (policy load), add a person
(subject add), enrol a gateway (agent enrol), record a decision (decision record), and leave the
daemon running (run).
"""
_EPILOGUE: Final = """\
examples:
  vitalveil trust subject add --name - --born 1985-12
  vitalveil trust decision withdraw --subject ID --purpose home-monitoring
  vitalveil trust request list --json

Exit codes: 0 done, 1 not done or a problem was found, 2 wrong arguments, settings or key files,
130 stopped at the keyboard.
"""


def build() -> Parser:
    """Return the parser of the whole command line; each command's parser sets `entry`."""
    parser = Parser(
        prog=_PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, default=None, help="the settings, a TOML file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    everywhere = _everywhere()
    groups: dict[str, Subparsers] = {}
    for entry in registry.ENTRIES:
        word, _, action = entry.name.partition(" ")
        if not action:
            _add(commands, word, entry, everywhere)
            continue
        if word not in groups:
            text = registry.GROUPS[word]
            group = commands.add_parser(word, help=text, description=f"{text}.")
            groups[word] = group.add_subparsers(dest="action", required=True, metavar="ACTION")
        _add(groups[word], action, entry, everywhere)
    return parser


def _everywhere() -> Parser:
    """Return a parser with the options that may stand before or after the command's name."""
    options = Parser(add_help=False)
    options.add_argument(
        "--config", type=Path, default=argparse.SUPPRESS, help="the settings, a TOML file"
    )
    options.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object"
    )
    return options


def _add(commands: "Subparsers", word: str, entry: Entry[Any], everywhere: Parser) -> None:
    parser = commands.add_parser(
        word,
        help=entry.help,
        description="\n\n".join(filter(None, (f"{entry.help}.", entry.details))),
        epilog=f"example:\n  {_PROGRAM} {entry.example}" if entry.example else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[everywhere],
    )
    parser.set_defaults(entry=entry)
    _add_fields(parser, entry)
    if isinstance(entry, Command | Family) and entry.warning:
        text = f"do not ask first. {entry.warning}"
        parser.add_argument("--yes", action="store_true", help=text)


def _add_fields(parser: Parser, entry: Entry[Any]) -> None:
    exclusive: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for field in msgspec.structs.fields(entry.arguments):
        option = option_of(field)
        where: argparse._ActionsContainer = parser
        if option.one_of is not None:
            if option.one_of not in exclusive:
                exclusive[option.one_of] = parser.add_mutually_exclusive_group(required=True)
            where = exclusive[option.one_of]
        elif option.or_file is not None:
            where = parser.add_mutually_exclusive_group()
            where.add_argument(
                f"--{option.or_file.flag}", dest=field.name, type=Path, default=None,
                metavar="FILE", help=option.or_file.help,
            )  # fmt: skip
        if option.is_positional:
            where.add_argument(
                field.name, metavar=option.metavar, nargs=None if field.required else "?",
                default=_default(field), help=option.help, **_value(field, option),
            )  # fmt: skip
        else:
            flag = option.flag or field.name.replace("_", "-")
            where.add_argument(
                f"--{flag}", dest=field.name, required=field.required, default=_default(field),
                help=option.help, **_value(field, option), **_metavar(option),
            )  # fmt: skip


def option_of(field: msgspec.structs.FieldInfo) -> Option:
    """Return the option of *field*, from the field's annotation; every arguments field has one."""
    (option,) = (extra for extra in field.type.__metadata__ if isinstance(extra, Option))
    return option


@functools.cache
def options_of(arguments: type[Arguments]) -> Mapping[str, Option]:
    """Return the option of each field of *arguments*, by the field's name."""
    return {one.name: option_of(one) for one in msgspec.structs.fields(arguments)}


def _metavar(option: Option) -> Mapping[str, Any]:
    return {} if option.metavar is None else {"metavar": option.metavar}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.required else field.default


def _value(field: msgspec.structs.FieldInfo, option: Option) -> Mapping[str, Any]:
    kind = kinds.without_none(field.type.__origin__)
    if kind is bool:
        return {"action": "store_true"}
    if option.reads is not None:
        return {"type": Path}
    if option.is_separated:
        return {"type": kinds.names} | ({"action": "extend"} if option.is_repeatable else {})
    if option.is_repeatable:
        return {"action": "append"}
    chosen: dict[str, Any] = {"type": kinds.convert(kind)}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        chosen["choices"] = list(option.choices or kind)
    return chosen

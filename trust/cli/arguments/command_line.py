"""Parses command lines: the command's name, and the values of its arguments."""

import argparse
import functools
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from trust.cli.arguments import build
from trust.cli.arguments.parser import Parser
from trust.cli.command import Arguments, Executable, Family
from trust.errors import UsageError


class CommandLine(msgspec.Struct, frozen=True):
    """A parsed command line. The files that it names are not read yet."""

    command: Executable
    given: dict[str, Any]
    """The values by field of the command's arguments; a path names a file to read."""
    config: Path | None
    as_json: bool
    is_meant: bool
    """Whether --yes was given."""

    def __repr__(self) -> str:
        return "CommandLine(…)"


def parse(argv: Sequence[str]) -> CommandLine:
    """
    Parse *argv* into a command and the values of its arguments.

    Raises:
        UsageError: *argv* is no valid command line.
    """
    if any(not _is_text(argument) for argument in argv):
        raise UsageError("an argument holds control characters, or is not UTF-8")
    found = _parser().parse_args(argv)
    command, given = found.entry, _given(found)
    if isinstance(command, Family):
        command, given = command.resolve(command.arguments(**given))
    return CommandLine(command, given, found.config, found.json, getattr(found, "yes", False))


def read(line: CommandLine, *, standard_input: Callable[[], str] | None) -> Arguments:
    """
    Return the command's arguments, with the contents of the files that *line* names.

    Args:
        line: The parsed command line.

        standard_input: Returns one line of standard input; None if the command may not read it.

    Raises:
        UsageError: An argument needs standard input, and the command may not read it.
        TrustError: A file cannot be read.
    """
    kind: type[Arguments] = line.command.arguments
    values = dict(line.given)
    for name, option in build.options_of(kind).items():
        value = values.get(name)
        reads = option.reads if option.or_file is None else option.or_file.reads
        if isinstance(value, Path) and reads is not None:
            values[name] = reads(value)
        elif option.may_be_standard_input and value == "-":
            if standard_input is None:
                raise UsageError("standard input is the batch itself: give the --name in its line")
            values[name] = _one_line(standard_input())
    return kind(**values)


def parser() -> Parser:
    """Return the parser of the whole command line."""
    return _parser()


def help_pages() -> list[tuple[str, str]]:
    """Return the name and the `--help` text of each command, in the order of `--help`."""
    return list(_pages(_parser(), ()))


def _pages(parser: Parser, words: tuple[str, ...]) -> list[tuple[str, str]]:
    (commands,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    pages: list[tuple[str, str]] = []
    for word, below in commands.choices.items():
        name = (*words, word)
        if below.get_default("entry") is None:
            pages += _pages(below, name)
        else:
            pages.append((" ".join(name), below.format_help().strip()))
    return pages


def _given(found: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.entry.arguments.__struct_fields__}


def _one_line(text: str) -> str:
    line = text.rstrip("\r\n")
    if not _is_text(line):
        raise UsageError("standard input holds control characters, or is not UTF-8")
    return line


def _is_text(argument: str) -> bool:
    # Bytes from the shell that are no text become surrogates. A database can store neither
    # surrogates nor NUL.
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in argument)


@functools.cache
def _parser() -> Parser:
    # The parser is kept, because a batch parses tens of thousands of commands.
    return build.build()

"""
The types of commands: name, arguments, result, and the function that runs the command.

Arguments and results are structs of plain values that can be sent as JSON or MessagePack. The
files that an operator names are read on the operator's machine, and the command gets their
contents. This module does not parse command lines: `trust.cli.arguments` builds the parsers from
the arguments' fields.
"""

import datetime as dt
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from trust.composition import App
from trust.config import Settings
from trust.decisions.representatives import BIRTH_MONTH
from trust.domain import durations
from trust.keys import files

_FIRST: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST: Final = dt.datetime(9000, 1, 1, tzinfo=dt.UTC)
_LONGEST: Final = dt.timedelta(days=durations.LONGEST_DAYS)


class FileFlag(msgspec.Struct, frozen=True, kw_only=True):
    """
    A second flag for the same field, which names a file.

    Args:
        flag: The flag without its dashes.

        help: The text in `--help`.

        reads: Reads the file and returns the field's value.
    """

    flag: str
    help: str
    reads: Callable[[Path], Any]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """
    The form of an arguments field on a command line, by default `--field-name VALUE`.

    Args:
        help: The text in `--help`.

        metavar: The placeholder of the value in `--help`.

        flag: The flag, without dashes, if it differs from the field's name.

        is_positional: Whether the value is written without a flag.

        is_separated: Whether the value is a comma-separated list.

        is_repeatable: Whether the flag may be repeated to add to the list.

        choices: The permitted values, if fewer than the field's enumeration has.

        reads: The value on the command line is the path of a file; returns the field's value.

        or_file: A second flag that reads the same field from a file.

        one_of: A group name: exactly one field of the group must be given.

        may_be_standard_input: Whether a value of `-` reads one line of standard input.
    """

    help: str
    metavar: str | None = None
    flag: str | None = None
    is_positional: bool = False
    is_separated: bool = False
    is_repeatable: bool = False
    choices: tuple[enum.StrEnum, ...] = ()
    reads: Callable[[Path], Any] | None = None
    or_file: FileFlag | None = None
    one_of: str | None = None
    may_be_standard_input: bool = False


class Moment(msgspec.Struct, frozen=True):
    """A time, or the time at which the command runs."""

    at: dt.datetime | None
    """None for the time at which the command runs."""

    def __post_init__(self) -> None:
        if self.at is not None:
            check_instant(self.at)


class File(msgspec.Struct, frozen=True):
    """A file of the operator: its contents, and its name for error texts."""

    name: str
    content: bytes

    def __repr__(self) -> str:
        return "File(…)"


def read_file(path: Path) -> File:
    """
    Read the public file at *path*.

    Raises:
        KeyFileError: The file cannot be read.
    """
    return File(path.name, files.read(path))


def read_secret_file(path: Path) -> File:
    """
    Read the secret file at *path*.

    Raises:
        KeyFileError: The file cannot be read, or users other than its owner may read it.
    """
    return File(path.name, files.read_secret(path))


def check_instant(at: dt.datetime) -> None:
    """
    Check that *at* has a zone and is a lifetime away from the calendar's ends; raise otherwise.

    Raises:
        ValueError: The time has no zone, or is outside the years 1970 to 8999.
    """
    if at.tzinfo is None:
        raise ValueError("the time has no zone")
    if not _FIRST <= at < _LAST:
        raise ValueError("the time is not in the years 1970 to 8999")


def check_period(period: dt.timedelta) -> None:
    """
    Check that *period* is positive and at most a hundred years; raise otherwise.

    Raises:
        ValueError: The period is out of range.
    """
    if not dt.timedelta(0) < period <= _LONGEST:
        raise ValueError("the period is not positive, or longer than a hundred years")


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The base of every command's arguments.

    Raises:
        ValueError: A time or a period is out of range (msgspec.ValidationError when decoded).
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, dt.datetime):
                check_instant(value)
            elif isinstance(value, dt.timedelta):
                check_period(value)

    def __repr__(self) -> str:
        # A value may be a person's name, and the text of an object may end up in a log.
        return f"{type(self).__name__}(…)"


class NoArguments(Arguments, frozen=True, kw_only=True):
    """The arguments of a command without arguments."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """
    The base of every command's result. Its fields are printed in their order.

    A field of bytes is not printed: the command's *save* writes it to a file for the operator. A
    field that is UNSET is omitted.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The base of a row of a result's table."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=msgspec.Struct)


class Entry(msgspec.Struct, Generic[A], frozen=True, kw_only=True, eq=False):
    """
    An entry of the command line: a command or a service.

    Args:
        name: The words of the command, as `subject add`.

        help: One sentence that says what the command does.

        details: The further text of the command's `--help`.

        example: An example command line, without `vitalveil trust`.

        arguments: The type of the command's arguments.
    """

    name: str
    help: str
    details: str = ""
    example: str = ""
    arguments: type[A]


class Command(Entry[A], Generic[A, R], frozen=True, kw_only=True, eq=False):
    """
    A command that uses the vault and its keys. `batch` accepts it, and the daemon can run it.

    Args:
        result: The type of the command's result.

        run: Runs the command; raises TrustError if that fails.

        save: Writes the files of the result on the operator's machine.

        warning: What cannot be undone; empty if everything can be undone.

        changes_leases: Whether leases may wait to be published after the command.

        is_finished_by_daemon: Whether the daemon completes the command once the vault has recorded
            it.
    """

    result: type[R]
    run: Callable[[App, A], R]
    save: Callable[[A, R], None] | None = None
    warning: str = ""
    changes_leases: bool = False
    is_finished_by_daemon: bool = False

    @property
    def is_destructive(self) -> bool:
        """Whether the command asks for confirmation, or needs --yes."""
        return bool(self.warning)


class SetupCommand(Entry[A], Generic[A, R], frozen=True, kw_only=True, eq=False):
    """A command that needs the settings but no vault and, mostly, no keys."""

    result: type[R]
    run: Callable[[Settings, A], R]


class LocalCommand(Entry[A], Generic[A, R], frozen=True, kw_only=True, eq=False):
    """A command that needs no settings, database or keys, and so runs on any machine."""

    result: type[R]
    run: Callable[[A], R]


class Service(Entry[NoArguments], frozen=True, kw_only=True, eq=False):
    """A program that runs until the operator stops it or its input ends."""

    arguments: type[NoArguments] = NoArguments


class Family(Entry[A], Generic[A], frozen=True, kw_only=True, eq=False):
    """
    One parser for several commands, which the first word distinguishes.

    Args:
        members: The commands of the family.

        resolve: Returns the selected command and the values of its fields; raises UsageError if no
            command matches.
    """

    members: "tuple[Command[Any, Any], ...]"
    resolve: Callable[[A], "tuple[Command[Any, Any], dict[str, Any]]"]
    warning: str


Executable: TypeAlias = (
    Command[Any, Any] | SetupCommand[Any, Any] | LocalCommand[Any, Any] | Service
)

# Fields that many commands share.

Subject = Annotated[
    UUID, Option(help="the id of the person", metavar="SUBJECT", is_positional=True)
]
SubjectFlag = Annotated[UUID, Option(help="the id of the person", metavar="ID", flag="subject")]
BirthMonth = Annotated[str, msgspec.Meta(pattern=rf"\A{BIRTH_MONTH}\Z")]
Name = Annotated[
    str, Option(help="the full name; - reads it from standard input", may_be_standard_input=True)
]
Agent = Annotated[str, Option(help="the id of the gateway", metavar="AGENT", is_positional=True)]
RequestToClose = Annotated[
    UUID | None,
    Option(help="the request of the person that this answers, which is closed as granted"),
]
Folder = Annotated[str, Option(help="the folder that the files are written to", metavar="DIR")]
OfficerFlag = Annotated[UUID, Option(help="the id of the officer", metavar="ID", flag="officer")]
OfficerKey = Annotated[
    File,
    Option(
        help="the private key of that officer", metavar="FILE.key", reads=read_secret_file,
        flag="key",
    ),
]  # fmt: skip

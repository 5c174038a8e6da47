"""
What a command of trust is: its name, its arguments, its result, and what runs it.

Arguments and results are structs of plain values, which can be sent as JSON or MessagePack; a file
that the operator names is read where they are, and its contents are what the command gets. Nothing
here knows a command line: `trust.cli.arguments` builds the parsers from the arguments' fields.
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
        flag: Without its dashes.

        help: For `--help`.

        reads: Returns the field's value from the file.
    """

    flag: str
    help: str
    reads: Callable[[Path], Any]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a field of the arguments is written on a command line: as `--field-name VALUE`.

    Args:
        help: For `--help`.

        metavar: Stands for the value in `--help`.

        flag: Instead of the field's name, without dashes.

        is_positional: The value is written without a flag.

        is_separated: The value is a list whose items stand between commas.

        is_repeatable: The flag may be given again, which adds to the list.

        choices: Fewer than the field's enumeration has.

        reads: The value on the command line is the path of a file; returns the field's value.

        or_file: Another flag that gives the same field from a file.

        one_of: Exactly one of the fields with this word is given.

        may_be_standard_input: A value of `-` reads a line of standard input.
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
    """A file of the operator: its contents, and its name for errors."""

    name: str
    content: bytes

    def __repr__(self) -> str:
        return "File(…)"


def read_file(path: Path) -> File:
    """
    Return the public file in *path*.

    Raises:
        KeyFileError: It cannot be read.
    """
    return File(path.name, files.read(path))


def read_secret_file(path: Path) -> File:
    """
    Return the secret file in *path*.

    Raises:
        KeyFileError: It cannot be read, or others than its owner may read it.
    """
    return File(path.name, files.read_secret(path))


def check_instant(at: dt.datetime) -> None:
    """
    Return if *at* has a zone, and is on the calendar of every zone, a lifetime earlier or later.

    Raises:
        ValueError: It has no zone, or is not in the years 1970 to 8999.
    """
    if at.tzinfo is None:
        raise ValueError("the time has no zone")
    if not _FIRST <= at < _LAST:
        raise ValueError("the time is not in the years 1970 to 8999")


def check_period(period: dt.timedelta) -> None:
    """
    Return if *period* is positive, and not longer than a hundred years.

    Raises:
        ValueError: It is not.
    """
    if not dt.timedelta(0) < period <= _LONGEST:
        raise ValueError("the period is not positive, or longer than a hundred years")


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The base of every command's arguments.

    Raises:
        ValueError: A time or a period is out of range; as msgspec.ValidationError when decoded.
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, dt.datetime):
                check_instant(value)
            elif isinstance(value, dt.timedelta):
                check_period(value)

    def __repr__(self) -> str:
        # A value may be a name, and whatever is shown of an object ends in a log one day.
        return f"{type(self).__name__}(…)"


class NoArguments(Arguments, frozen=True, kw_only=True):
    """Of a command that takes none."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """
    The base of every command's result, whose fields are printed in their order.

    A field of bytes is not printed: it is a file that the command's *save* writes for the
    operator. A field that is UNSET is left out.
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
    What the command line can name.

    Args:
        name: The words of the command, as `subject add`.

        help: A sentence: what it does.

        details: What `--help` of the command says besides.

        example: A command line, without `vitalveil trust`.

        arguments: Their type.
    """

    name: str
    help: str
    details: str = ""
    example: str = ""
    arguments: type[A]


class Command(Entry[A], Generic[A, R], frozen=True, kw_only=True, eq=False):
    """
    A command on the vault, which needs its keys: `batch` takes it, as the daemon can.

    Args:
        result: Its type.

        run: Does it; raises TrustError if it cannot.

        save: Writes the files of the result where the operator is.

        warning: What cannot be undone; empty if everything can.

        changes_leases: Leases may wait to be published once it is done.

        is_finished_by_daemon: Once the vault has what it says, it need not be given again.
    """

    result: type[R]
    run: Callable[[App, A], R]
    save: Callable[[A, R], None] | None = None
    warning: str = ""
    changes_leases: bool = False
    is_finished_by_daemon: bool = False

    @property
    def is_destructive(self) -> bool:
        """It asks first, or wants --yes."""
        return bool(self.warning)


class SetupCommand(Entry[A], Generic[A, R], frozen=True, kw_only=True, eq=False):
    """A command that needs the settings, and neither a vault nor, mostly, keys."""

    result: type[R]
    run: Callable[[Settings, A], R]


class LocalCommand(Entry[A], Generic[A, R], frozen=True, kw_only=True, eq=False):
    """A command that needs no settings, no database and no keys: it runs on any machine."""

    result: type[R]
    run: Callable[[A], R]


class Service(Entry[NoArguments], frozen=True, kw_only=True, eq=False):
    """A program that runs until it is stopped, or until its input ends."""

    arguments: type[NoArguments] = NoArguments


class Family(Entry[A], Generic[A], frozen=True, kw_only=True, eq=False):
    """
    One parser for several commands, which their first word tells apart.

    Args:
        members: The commands.

        resolve: Returns the command that is meant, and what was given for its fields; raises
            UsageError if none is.
    """

    members: "tuple[Command[Any, Any], ...]"
    resolve: Callable[[A], "tuple[Command[Any, Any], dict[str, Any]]"]
    warning: str


Executable: TypeAlias = (
    Command[Any, Any] | SetupCommand[Any, Any] | LocalCommand[Any, Any] | Service
)

# Fields that many commands have.

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

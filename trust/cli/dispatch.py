"""Running one command: its files are read, it is confirmed, run, and its files are written."""

from collections.abc import Callable
from typing import Any

import msgspec

from trust.cli.arguments import command_line
from trust.cli.arguments.command_line import CommandLine
from trust.cli.command import Command, Executable
from trust.composition import App
from trust.errors import UsageError


def execute(
    app: App,
    command: Command[Any, Any],
    line: CommandLine,
    *,
    standard_input: Callable[[], str] | None = None,
    ask: Callable[[str], bool] | None = None,
) -> dict[str, Any]:
    """
    Run *command*; return what is printed of its result.

    Args:
        app: Trust.

        command: That of *line*.

        line: What was given for its arguments.

        standard_input: Returns a line of it; None if the command may not read any.

        ask: Asks the person at the terminal; None if there is none.

    Raises:
        TrustError: It cannot be done, or is not confirmed.
    """
    arguments = command_line.read(line, standard_input=standard_input)
    if command.is_destructive and not line.is_meant:
        _confirm(command.warning, ask)
    result = command.run(app, arguments)
    if command.save is not None:
        command.save(arguments, result)
    return show(result)


def _confirm(warning: str, ask: Callable[[str], bool] | None) -> None:
    if ask is None:
        raise UsageError(f"{warning} Give --yes if that is meant")
    if not ask(warning):
        raise UsageError("nothing was done")


def show(result: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of *result* that are printed: a field of bytes is a file."""
    fields = msgspec.to_builtins(result, builtin_types=(bytes,))
    return {name: value for name, value in fields.items() if not isinstance(value, bytes)}


def remedy(command: Executable) -> str:
    """Return what to do about *command*, which a server or the network has cut off."""
    if isinstance(command, Command) and command.is_finished_by_daemon:
        return "What was recorded before stands, and `vitalveil trust run` finishes it"
    return "Give the same command again once it is back; what was done before stands"

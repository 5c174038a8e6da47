"""Runs one command: reads its files, asks for confirmation, runs it, and writes its files."""

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
    Run *command*; return the printable fields of its result.

    Args:
        app: The application of trust.

        command: The command of *line*.

        line: The parsed command line.

        standard_input: Returns one line of standard input; None if the command may not read it.

        ask: Asks the operator at the terminal; None if there is no terminal.

    Raises:
        TrustError: The command failed, or was not confirmed.
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
    """Return the printed fields of *result*; fields of bytes are files and are omitted."""
    fields = msgspec.to_builtins(result, builtin_types=(bytes,))
    return {name: value for name, value in fields.items() if not isinstance(value, bytes)}


def remedy(command: Executable) -> str:
    """Return the advice for the operator after a server or the network interrupted *command*."""
    if isinstance(command, Command) and command.is_finished_by_daemon:
        return "What was recorded before stands, and `vitalveil trust run` finishes it"
    return "Give the same command again once it is back; what was done before stands"

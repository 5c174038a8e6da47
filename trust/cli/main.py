"""`vitalveil trust`: reads arguments and settings, runs the command, and prints the result."""

import asyncio
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from runtime import logs, settings
from runtime.command_line import output
from runtime.errors import RuntimeSetupError
from trust import app
from trust.cli import batch, dispatch, registry
from trust.cli.arguments import command_line
from trust.cli.arguments.command_line import CommandLine, parser
from trust.cli.command import Command, LocalCommand, Service, SetupCommand
from trust.composition import App
from trust.config import Settings
from trust.errors import KeyFileError, PartlyDone, TrustError, Unavailable, UsageError

__all__ = ["main", "parser"]

_PATIENCE_S: Final = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* names; return the exit code."""
    output.prepare()
    given = sys.argv[1:] if argv is None else argv
    fail = functools.partial(output.fail, "vitalveil trust", as_json="--json" in given)
    try:
        line = command_line.parse(given)
        command = line.command
        if isinstance(command, LocalCommand):
            arguments = command_line.read(line, standard_input=None)
            output.show(dispatch.show(command.run(arguments)), as_json=line.as_json)
            return 0
        read = settings.load(Settings, program="trust", path=line.config, environ=os.environ)
        logs.configure(read.log.level)
        try:
            return app.guarded(functools.partial(_run, read, command, line))
        except Unavailable as exc:
            fail(f"{exc}. {dispatch.remedy(command)}")
            return 1
    except (UsageError, RuntimeSetupError, KeyFileError) as exc:
        fail(exc)
        return 2
    except TrustError as exc:
        fail(exc)
        return 1


def _run(
    read: Settings,
    command: Command[Any, Any] | SetupCommand[Any, Any] | Service,
    line: CommandLine,
) -> int:
    if isinstance(command, Service):
        return _run_service(read, command)
    if isinstance(command, Command):
        return _run_on_vault(read, command, line)
    arguments = command_line.read(line, standard_input=None)
    output.show(dispatch.show(command.run(read, arguments)), as_json=line.as_json)
    return 0


def _run_service(read: Settings, service: Service) -> int:
    if service is registry.RUN:
        return app.run(read)
    if service is registry.SERVE:
        # The import is late: only this command needs the HTTP server, whose import takes a second.
        from trust import serve

        return serve.run(read)
    opened = App(read)
    try:
        return 1 if asyncio.run(batch.run(opened, lines=sys.stdin, out=_print_line)) else 0
    finally:
        opened.close()


def _run_on_vault(read: Settings, command: Command[Any, Any], line: CommandLine) -> int:
    opened = App(read)
    try:
        result = dispatch.execute(
            opened,
            command,
            line,
            standard_input=sys.stdin.readline,
            ask=_ask if sys.stdin.isatty() and not line.as_json else None,
        )
        if command.changes_leases and opened.settings.broker is not None:
            result["published"] = _publish(opened)
    except PartlyDone:
        if opened.settings.broker is not None:
            _publish(opened)
        raise
    finally:
        opened.close()
    output.show(result, as_json=line.as_json)
    return 1 if result.get("problems") else 0


def _publish(opened: App) -> bool:
    try:
        return asyncio.run(opened.publish(patience_s=_PATIENCE_S))
    except (Unavailable, RuntimeSetupError) as exc:
        # This is no failure of the command: its result says what happened.
        print(
            f"vitalveil trust: not published yet: {exc}. `vitalveil trust run` does it",
            file=sys.stderr,
        )
        return False


def _ask(warning: str) -> bool:
    try:
        return input(f"{warning}\nType yes to go on: ").strip() == "yes"
    except EOFError:
        return False


def _print_line(line: str) -> None:
    print(line, flush=True)

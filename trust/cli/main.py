"""`vitalveil trust`: reads the arguments and the settings, and prints what came of it."""

import asyncio
import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from runtime import logs, settings
from runtime.errors import RuntimeSetupError
from trust import app
from trust.cli import batch
from trust.cli.arguments import command_line
from trust.cli.commands import registry
from trust.cli.format import format_table
from trust.composition import App
from trust.config import Settings
from trust.errors import KeyFileError, TrustError, Unavailable, UsageError

_PATIENCE_S: Final = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* names; return the exit code."""
    try:
        found = command_line.parse(sys.argv[1:] if argv is None else argv)
        if found.command in registry.OFFLINE:
            _print(registry.OFFLINE[found.command](found), as_json=found.json)
            return 0
        read = settings.load(Settings, program="trust", path=found.config, environ=os.environ)
        logs.configure(read.log.level)
        try:
            return app.guarded(lambda: _run(read, found))
        except Unavailable as exc:
            print(f"vitalveil trust: {exc}. {registry.mend(found.command)}", file=sys.stderr)
            return 1
    except (UsageError, RuntimeSetupError, KeyFileError) as exc:
        print(f"vitalveil trust: {exc}", file=sys.stderr)
        return 2
    except TrustError as exc:
        print(f"vitalveil trust: {exc}", file=sys.stderr)
        return 1


def _run(read: Settings, found: Namespace) -> int:
    if found.command == "run":
        return app.run(read)
    if found.command == "serve":
        # Only now: nothing else needs an HTTP server, and it takes a second to read.
        from trust import serve

        return serve.run(read)
    if found.command in registry.BEFORE_KEYS:
        _print(registry.BEFORE_KEYS[found.command](read, found), as_json=found.json)
        return 0
    opened = App(read)
    try:
        if found.command == "batch":
            refused = asyncio.run(batch.run(opened, lines=sys.stdin, out=_print_line))
            return 1 if refused else 0
        return _run_one(opened, found)
    finally:
        opened.close()


def _run_one(opened: App, found: Namespace) -> int:
    if getattr(found, "name", None) == "-":
        found.name = sys.stdin.readline()
    registry.check_meant(found, ask=_ask if sys.stdin.isatty() and not found.json else None)
    result = registry.ON_RECORDS[found.command](opened, found)
    if found.command in registry.CHANGES_LEASES and opened.settings.broker is not None:
        # Printed in any case: what it says has happened.
        result["published"] = False
        try:
            result["published"] = asyncio.run(opened.publish(patience_s=_PATIENCE_S))
        except (Unavailable, RuntimeSetupError) as exc:
            print(
                f"vitalveil trust: not published yet: {exc}. `vitalveil trust run` does it",
                file=sys.stderr,
            )
    _print(result, as_json=found.json)
    return 1 if result.get("problems") else 0


def _ask(what: str) -> bool:
    try:
        return input(f"{what}\nType yes to go on: ").strip() == "yes"
    except EOFError:
        return False


def _print_line(line: str) -> None:
    print(line, flush=True)


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(result).decode())
        return
    for name, value in result.items():
        # What an erasure or retention deleted has that name too, and is no list of things.
        if name == "rows" and isinstance(value, list):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        print(f"{name.replace('_', ' ')}: {text}")
    if isinstance(rows := result.get("rows"), list):
        print(format_table(rows))

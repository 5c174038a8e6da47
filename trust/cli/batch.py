"""
Batch: many commands in one process, one JSON array of arguments per line, one JSON object each.

Leases are published in the background, unless the daemon publishes them. A withdrawal is answered
as soon as it is committed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO

import msgspec

from runtime.command_line import output
from runtime.errors import RuntimeSetupError
from runtime.logs import Log, describe
from trust.cli import dispatch, registry
from trust.cli.arguments import command_line
from trust.cli.command import Command
from trust.composition import App
from trust.errors import PartlyDone, TrustError, Unavailable, UsageError

MAX_LINE: Final = 65536
_PATIENCE_S: Final = 1.0
_LAST_PATIENCE_S: Final = 15.0
_log: Final = Log("trust.cli.batch")
_decoder: Final = msgspec.json.Decoder(list[str])


def execute(app: App, argv: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """
    Run one command; return its result, and whether leases may wait to be published.

    Raises:
        TrustError: The command failed.
    """
    line = command_line.parse(argv)
    command = line.command
    if not isinstance(command, Command):
        raise UsageError(f"a batch takes: {', '.join(registry.ON_VAULT)}")
    return dispatch.execute(app, command, line), command.changes_leases


def answer(app: App, line: str) -> tuple[dict[str, Any], bool]:
    """Return the answer to *line*, and whether leases may wait to be published."""
    if len(line) > MAX_LINE:
        return _refuse(f"a line has at most {MAX_LINE} characters"), False
    try:
        argv = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _refuse(
            'not a JSON array of strings, as in ["subject","add","--name","..."]'
        ), False
    try:
        result, publish = execute(app, argv)
    except Unavailable as exc:
        # Leases may wait in both cases, whether or not the change was recorded.
        remedy = dispatch.remedy(command_line.parse(argv).command)
        return _refuse(f"{exc}. {remedy}"), True
    except (TrustError, RuntimeSetupError) as exc:
        return _refuse(str(exc)), isinstance(exc, PartlyDone)
    # A line that triggers a bug must not stop the lines after it. Only the error's type is shown,
    # because its text may quote a value.
    except Exception as exc:  # noqa: BLE001 - a bug ends one line, not the batch
        _log.error("unforeseen", error=describe(exc))
        return _refuse(
            f"an error that trust does not know ({describe(exc)}); what was recorded before it"
            " stands, and `vitalveil trust run` finishes it. Report the error to the project"
        ), True
    return {"ok": True, **result}, publish


def _refuse(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


async def run(app: App, *, lines: TextIO, out: Callable[[str], None]) -> int:
    """
    Answer each of *lines* until the input ends; return how many commands were refused.

    Args:
        app: The application of trust.

        lines: The lines of standard input.

        out: Prints one line immediately.
    """
    waiting = asyncio.Event()
    publishing = asyncio.create_task(_publish_for_ever(app, waiting), name="publish")
    refused = 0
    try:
        while line := await asyncio.to_thread(lines.readline):
            if not line.strip():
                continue
            reply, publish = await asyncio.to_thread(answer, app, line)
            out(output.json_line(reply))
            refused += not reply["ok"]
            if publish:
                waiting.set()
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    if app.settings.broker is not None:
        with contextlib.suppress(Unavailable, RuntimeSetupError):
            await app.publish(patience_s=_LAST_PATIENCE_S)
    return refused


async def _publish_for_ever(app: App, waiting: asyncio.Event) -> None:
    while app.settings.broker is not None:
        await waiting.wait()
        try:
            async with app.publishing() as publish:
                while await waiting.wait():
                    waiting.clear()
                    await publish(_PATIENCE_S)
        except RuntimeSetupError as exc:
            # The commands need no broker; the daemon publishes when the broker works again.
            _log.error("not_published", error=describe(exc))
            return
        except Unavailable as exc:
            _log.warning("not_published", error=describe(exc))
            await asyncio.sleep(1.0)
            waiting.set()

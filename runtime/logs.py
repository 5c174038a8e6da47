"""
Logs: one JSON object on each line, with an `action` from a closed set and fields.

Promise P10: no line holds a health value, a pseudonym, an address or a name. A log call therefore
takes an action and plain fields, never a sentence with values. Of an exception of our own, its
text is written, which holds no such thing; of any other, its cause in our words
(`runtime.causes`); of a library's record, only its source line and its template without the
arguments.
"""

import datetime as dt
import json
import logging
import sys
from typing import Any, Final, TextIO

from runtime.causes.explain import explain
from runtime.errors import Explained

_OURS: Final = "vitalveil."
Field = bool | int | float | str | None


class Log:
    """The log of one part of a program."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(_OURS + name)

    def debug(self, action: str, **fields: Field) -> None:
        self._write(logging.DEBUG, action, fields)

    def info(self, action: str, **fields: Field) -> None:
        self._write(logging.INFO, action, fields)

    def warning(self, action: str, **fields: Field) -> None:
        self._write(logging.WARNING, action, fields)

    def error(self, action: str, **fields: Field) -> None:
        self._write(logging.ERROR, action, fields)

    def _write(self, level: int, action: str, fields: dict[str, Field]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, action, extra={"fields": fields})


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = dt.datetime.fromtimestamp(record.created, tz=dt.UTC)
        line: dict[str, Any] = {
            "at": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        if record.name.startswith(_OURS):
            line["part"] = record.name.removeprefix(_OURS)
            line["action"] = record.msg
            line.update(getattr(record, "fields", {}))
        else:
            line["part"] = record.name
            line["action"] = "library"
            line["where"] = f"{record.module}:{record.lineno}"
            # A record without arguments may not be a template: asyncio, for instance, puts the
            # text of an exception into the message.
            if record.args and isinstance(record.msg, str):
                line["template"] = record.msg
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
        return json.dumps(line, ensure_ascii=True)


def describe(error: BaseException, *, peer: str = "the server") -> str:
    """
    Return what is safe to show of *error*, in words: the cause, and what to do.

    Our own errors hold nothing that may not be shown. The text of a library is never passed on.

    Args:
        error: The error.

        peer: The other side of a connection, with its article: `the broker`.
    """
    if isinstance(error, Explained):
        return str(error)
    if (cause := explain(error, peer)) is not None:
        return str(cause)
    return f"an error that is not foreseen ({type(error).__name__}): please report it as a bug"


def configure(level: str, *, stream: TextIO | None = None) -> None:
    """Write all log lines of this process from *level* on to *stream*, by default stderr."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(_JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS.rstrip(".")).setLevel(level.upper())
    logging.captureWarnings(True)

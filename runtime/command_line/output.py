"""
What commands print: text for a person, or with `--json` one JSON object on standard output.

The rule of `--json`: standard output holds one JSON object and nothing besides. A command about
one thing prints its fields; a list prints `{"rows": [...]}`; a failure prints
`{"ok": false, "error": "..."}`. The sentence of a failure is on standard error in either case.
"""

import io
import json
import shutil
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import msgspec

from runtime.command_line.table import format_table

JSON_HELP: Final = "print one JSON object; an error is one as well"
UNBOUNDED: Final = 100_000
"""A width, in columns, for libraries that need one where a file or a pipe has none."""


def prepare() -> None:
    r"""
    Set up the standard streams, so that no locale ends a command with an error.

    A character that the output cannot show is written as an escape, as `\xe9`. Standard input
    is read as UTF-8 whatever the locale is; bytes that are no UTF-8 become surrogates, which the
    commands refuse in words.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")


def terminal_columns(stream: TextIO | None = None) -> int | None:
    """Return the columns of the terminal behind *stream*, standard output; None for a file."""
    if not (stream or sys.stdout).isatty():
        return None
    return shutil.get_terminal_size().columns


def show(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """Print *fields*: as one JSON object, or a line for each and `rows` as a table."""
    if as_json:
        _write(json_line(fields))
        return
    rows = fields.get("rows")
    for name, value in fields.items():
        # Some results have a field of that name that is no list.
        if name == "rows" and isinstance(value, list):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        _write(f"{name.replace('_', ' ')}: {text}")
    if isinstance(rows, list):
        _write(format_table(rows, width=terminal_columns()))


def fail(program: str, error: object, *, as_json: bool) -> None:
    """Print *error*: a sentence on standard error, and with *as_json* an object besides."""
    sys.stderr.write(f"{program}: {error}\n")
    if as_json:
        _write(json_line({"ok": False, "error": str(error)}))


def json_line(value: Any) -> str:
    """Return *value* as JSON, with escapes of JSON for what standard output cannot show."""
    text = msgspec.json.encode(value).decode()
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # The escapes of `prepare`, as `\\xe9`, are none of JSON.
        return json.dumps(json.loads(text), separators=(",", ":"))
    return text


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")

"""Every command of every program: --json, --help, completion and any locale."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

import vitalveil.cli
from runtime.command_line import completion
from runtime.command_line.parser import Parser

PROGRAMS = {name: module for name, (module, _, _) in vitalveil.cli._COMMANDS.items()}
_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for one in action.choices.values():
            yield from _leaves(one)


def _parser(program: str) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = importlib.import_module(PROGRAMS[program]).parser()
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_takes_json(program: str) -> None:
    """--json is an option of every command."""
    without = [p.prog for p in _leaves(_parser(program)) if "--json" not in p.format_help()]
    assert without == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_argument_says_what_it_is(program: str) -> None:
    """No option and no argument is without a description."""
    silent = [
        f"{parser.prog} {action.option_strings or action.dest}"
        for parser in _leaves(_parser(program))
        for action in parser._actions
        if not (action.help or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_says_what_was_meant(program: str) -> None:
    """Every parser is one that suggests."""
    assert all(isinstance(one, Parser) for one in _leaves(_parser(program)))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], "trust"),
        (["ag"], "agent"),
        (["trust", "subject", ""], "rectify"),
        (["trust", "--config", "f.toml", "agent", "l"], "list"),
        (["trust", "decision", "record", "--stat"], "--state"),
        (["trust", "decision", "record", "--state", "r"], "refused"),
        (["ingest", "quarantine", ""], "give-up"),
        (["agent", "spool", "p"], "purge"),
        (["completion", ""], "fish"),
    ],
)
def test_completion_offers_what_the_parsers_accept(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, options and the values of options are offered, with their help."""
    assert vitalveil.cli.main(["complete", "--", *words]) == 0
    offered = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert expected in offered
    assert all(word.startswith(words[-1]) for word in offered)


@pytest.mark.parametrize("words", [["trust", "subject", "add", "--name", ""], ["nothing", ""]])
def test_completion_offers_nothing_for_a_free_value(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell offers files where nothing else is known."""
    assert vitalveil.cli.main(["complete", "--", *words]) == 0
    assert capsys.readouterr().out == ""


def test_the_script_of_bash_completes() -> None:
    """bash, with the script, completes a command and an option."""
    lines = [
        f'vitalveil() {{ {sys.executable} -m vitalveil "$@"; }}',
        completion.SCRIPTS["bash"],
        "COMP_WORDS=(vitalveil trust subject re); COMP_CWORD=3; _vitalveil",
        'echo "${COMPREPLY[@]}"',
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "rectify"


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        *([name, "--help"] for name in PROGRAMS),
        ["trust", "subject", "add", "--name", "Zoé"],
        ["simulate", "fleet", "--list"],
        ["schema"],
        ["agent", "enrol", "--ca", "Zoé"],
    ],
    ids=" ".join,
)
def test_no_locale_ends_in_a_traceback(argv: list[str]) -> None:
    """Where the locale has ASCII alone, every program prints escapes and no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "vitalveil", *argv],
        env={**os.environ, **_ASCII, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("is_json", [True, False])
def test_what_a_locale_cannot_show_is_escaped(encoding: str, is_json: bool) -> None:
    """Text gets escapes, and JSON stays JSON, whatever the output can show."""
    script = (
        "from runtime.command_line import output\n"
        "output.prepare()\n"
        f"output.show({{'rows': [{{'name': 'Zo\\xe9 \\u5c71'}}]}}, as_json={is_json})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
        check=True,
    )
    printed = done.stdout.decode(encoding)
    if is_json:
        assert json.loads(printed) == {"rows": [{"name": "Zo\xe9 \u5c71"}]}
    else:
        assert printed.splitlines()[1].startswith("Zo")


@pytest.mark.parametrize("name", [b"Zo\xe9\n", b"Ada\x00\n", b"Ada\x1b[2J\n"])
def test_a_name_that_is_no_text_is_refused_in_words(name: bytes) -> None:
    """Bytes of standard input that are no UTF-8, and control characters, are refused."""
    done = subprocess.run(
        [sys.executable, "-c", _READ], input=name, capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in done.stderr
    assert b"standard input holds control characters, or is not UTF-8" in done.stderr


_READ = """\
import sys
from runtime.command_line import output
from trust.cli.arguments import command_line
from trust.errors import UsageError
output.prepare()
try:
    command_line.read(
        command_line.parse(["subject", "add", "--name", "-"]),
        standard_input=sys.stdin.readline,
    )
except UsageError as exc:
    sys.exit(str(exc))
"""


def test_a_command_that_does_not_exist_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in the name of a program is answered with the nearest one."""
    assert vitalveil.cli.main(["ingset"]) == 2
    assert "Did you mean ingest?" in capsys.readouterr().err


def test_errors_are_objects_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json an error is one object on standard output, whichever program it is from."""
    for argv in (
        ["trust", "subject", "list", "--config", "none.toml", "--json"],
        ["ingest", "check-config", "--config", "none.toml", "--json"],
        ["agent", "check-config", "--config", "none.toml", "--json"],
        ["doctor", "--json"],
    ):
        assert vitalveil.cli.main(argv) == 2
        printed = json.loads(capsys.readouterr().out)
        assert printed["ok"] is False
        assert printed["error"]

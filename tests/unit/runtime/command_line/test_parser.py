"""Errors of a command line name what was probably meant, and never a value."""

import argparse
import json

import pytest

from runtime.command_line.parser import Parser


def _number(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError("a whole number")
    return int(text)


def _parser() -> Parser:
    whole = Parser(prog="tool")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("enrol")
    one.add_argument("--json", action="store_true")
    one.add_argument("--format", choices=("sealed", "json"))
    one.add_argument("--count", type=_number)
    one.add_argument("--valid-for", type=int, required=True)
    one.add_argument("--valid-to", type=int)
    commands.add_parser("list").add_argument("step", choices=("show", "reopen"))
    return whole


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["enroll"], "there is no such command. Did you mean enrol?"),
        (["Ada"], "there is no such command. It is one of: enrol, list."),
        (["list", "shw"], "there is no such step. Did you mean show?"),
        (["enrol", "--valid-fro", "3"], "--valid-for. Did you mean --valid-for"),
        (["enrol", "--valid-for", "3", "--formt", "json"], "Did you mean --format"),
        (["enrol", "--valid-for", "3", "--format", "seled"], "Did you mean sealed?"),
        (["enrol", "--valid-for", "Ada"], "the value of --valid-for is missing or wrong"),
        (["enrol", "--valid-for"], "the value of --valid-for is missing or wrong"),
        (["enrol", "--valid-for", "3", "--count", "Ada"], "--count: a whole number."),
        (["enrol", "--valid", "3"], "it could be --valid-for, --valid-to"),
        (["enrol", "--valid-for", "3", "Ada"], "arguments that the command does not take"),
    ],
)
def test_an_error_says_what_was_meant(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip in a command, an option or a value is answered with the nearest that there is."""
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args(argv)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert sentence in printed
    assert "Ada" not in printed
    assert printed.count("\n") == 1


def test_an_error_is_an_object_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, standard output holds one object for an error, too."""
    with pytest.raises(SystemExit):
        _parser().parse_args(["enrol", "--json", "--formt", "x"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert "--format" in printed["error"]

"""Parsing of arguments: exact, and errors never repeat a value."""

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from trust.cli.arguments import command_line
from trust.cli.commands.people.decisions import RecordDecision
from trust.cli.commands.people.subjects import AddSubject
from trust.errors import UsageError

SUBJECT = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0"
RECORD = ["decision", "record", "--subject", SUBJECT, "--purpose", "p@1", "--agent", "a"]


def test_parse_reads_a_grant() -> None:
    """Lists may be separated by commas or repeated, and times are converted to UTC."""
    found = command_line.parse(
        [
            *RECORD, "--quantities", "heart_rate,spo2", "--quantities", "pulse_rate",
            "--binding", "X", "--binding", "Y", "--valid-to", "2026-12-01T00:00:00+01:00",
        ]
    )  # fmt: skip
    assert found.command.name == "decision record"
    assert found.given["quantities"] == ["heart_rate", "spo2", "pulse_rate"]
    assert found.given["binding"] == ["X", "Y"]
    assert found.given["valid_to"] == dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC)


def test_parse_keeps_nothing_between_commands() -> None:
    """In a batch, lists of one command are not added to those of the next."""
    command_line.parse([*RECORD, "--quantities", "heart_rate", "--binding", "X"])
    found = command_line.parse([*RECORD, "--binding", "Y"])
    assert (found.given["quantities"], found.given["binding"]) == ([], ["Y"])


@pytest.mark.parametrize(
    "argv",
    [
        ["--config", "f.toml", "--json", "subject", "add", "--name", "x"],
        ["subject", "add", "--name", "x", "--config", "f.toml", "--json"],
    ],
)
def test_options_stand_before_or_behind(argv: list[str]) -> None:
    """--config and --json are accepted before and after the command."""
    found = command_line.parse(argv)
    assert (str(found.config), found.as_json) == ("f.toml", True)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param([], "COMMAND", id="nothing"),
        pytest.param(["Ada"], "no such command", id="command"),
        pytest.param(["subject", "Ada"], "no such action", id="action"),
        pytest.param(["subject", "add", "Ada"], "--name", id="missing"),
        pytest.param(["subject", "add", "--name", "x", "Ada"], "does not take", id="stray"),
        pytest.param(["decision", "withdraw", "--subject", "Ada"], "--subject", id="id"),
        pytest.param([*RECORD, "--binding", "X", "--valid-to", "Ada"], "--valid-to", id="time"),
        pytest.param([*RECORD, "--binding", "X", "--valid-to", "2026-12-01"], "-to", id="zone"),
        pytest.param(
            [*RECORD, "--valid-to", "0001-01-01T00:00:00+14:00"], "--valid-to", id="before time"
        ),
        pytest.param(
            [*RECORD, "--valid-to", "9999-12-31T23:59:59-14:00"], "--valid-to", id="after time"
        ),
        pytest.param([*RECORD, "--valid-for", "999999999d"], "--valid-for", id="for ever"),
        pytest.param([*RECORD, "--binding", "X", "--text-sha256", "Ada"], "sha256", id="hash"),
        pytest.param([*RECORD, "--binding", "X", "--given-by", "Ada"], "given-by", id="choice"),
        pytest.param(["agent", "enrol", "--format", "Ada"], "format", id="format"),
        pytest.param([*RECORD, "--binding", "X", "--captured-by", "Ada"], "captured", id="how"),
        pytest.param([*RECORD, "--binding", "X", "--locale", "Ada"], "locale", id="locale"),
        pytest.param(["subject", "add", "--name", "Ada\x00"], "control", id="NUL"),
        pytest.param(["subject", "add", "--name", "Ada\udcff"], "UTF-8", id="surrogate"),
    ],
)
def test_error_names_the_argument_and_not_its_value(argv: list[str], message: str) -> None:
    """An error names the argument and not its value, because the value may be a person's name."""
    with pytest.raises(UsageError, match=message) as error:
        command_line.parse(argv)
    assert "Ada" not in str(error.value)


def test_locale_and_text_are_kept() -> None:
    """The evidence of a decision is parsed as given."""
    text = "ab" * 32
    found = command_line.parse(
        [*RECORD, "--binding", "X", "--locale", "fr-FR", "--text-sha256", text]
    )
    assert (found.given["locale"], found.given["text_sha256"]) == ("fr-FR", text)


def test_nothing_is_filled_in() -> None:
    """No part of the evidence has a default."""
    found = command_line.parse([*RECORD, "--binding", "X"])
    said = ("given_by", "captured_by", "text_sha256", "locale", "given_at", "scan_sha256")
    assert [found.given[name] for name in said] == [None] * len(said)
    withdrawn = command_line.parse(
        ["decision", "withdraw", "--subject", SUBJECT, "--purpose", "p"]
    )
    assert withdrawn.given["given_by"] == "not-stated"


def test_a_file_is_read_where_the_operator_is(tmp_path: Path) -> None:
    """A command gets the content or the digest of a file, and never its path."""
    text = tmp_path / "shown.txt"
    text.write_bytes(b"what was shown")
    line = command_line.parse([*RECORD, "--binding", "X", "--text", str(text)])

    arguments = command_line.read(line, standard_input=None)

    assert isinstance(arguments, RecordDecision)
    assert arguments.text_sha256 == hashlib.sha256(b"what was shown").hexdigest()
    assert str(tmp_path) not in msgspec.json.encode(arguments).decode()


def test_a_name_may_come_from_standard_input() -> None:
    """`-` reads a name from standard input, and is refused in a batch."""
    line = command_line.parse(["subject", "add", "--name", "-"])
    arguments = command_line.read(line, standard_input=lambda: "Ada Canary\n")
    assert isinstance(arguments, AddSubject)
    assert arguments.name.strip() == "Ada Canary"
    with pytest.raises(UsageError, match="standard input"):
        command_line.read(line, standard_input=None)


@pytest.mark.parametrize(
    ("argv", "name", "given"),
    [
        (["3", "--scope", "all"], None, "give a subject's id"),
        ([SUBJECT], None, "say what"),
        ([SUBJECT, "--scope", "all"], "erase", {"subject": UUID(SUBJECT), "scope": "all"}),
        (["verify"], "erase verify all", {}),
        (["verify", "all"], "erase verify all", {}),
        (["verify", "3"], "erase verify", {"number": 3}),
        (["verify", "x"], None, "number of an erasure"),
        (["certificate"], None, "number of an erasure"),
        (["certificate", "3"], "erase certificate", {"number": 3}),
        (["replay"], "erase replay", {}),
        (["check"], None, "file of the certificate"),
        (["check", "a.json"], "erase check", {"certificate": Path("a.json")}),
    ],
)
def test_the_first_word_says_which_erasure_is_meant(
    argv: list[str], name: str | None, given: dict[str, Any] | str
) -> None:
    """After `erase` comes a person's id, or the word of another command."""
    if isinstance(given, str):
        with pytest.raises(UsageError, match=given):
            command_line.parse(["erase", *argv])
        return
    found = command_line.parse(["erase", *argv])
    assert (found.command.name, given.items() <= found.given.items()) == (name, True)

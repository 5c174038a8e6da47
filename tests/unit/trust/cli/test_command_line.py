"""Arguments: read exactly; an error never repeats what was given."""

import datetime as dt

import pytest

from trust.cli.arguments import command_line
from trust.errors import UsageError

SUBJECT = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0"
RECORD = ["decision", "record", "--subject", SUBJECT, "--purpose", "p@1", "--agent", "a"]


def test_parse_reads_a_grant() -> None:
    """Lists may be separated by commas or repeated; times come out in UTC."""
    found = command_line.parse(
        [
            *RECORD, "--quantities", "heart_rate,spo2", "--quantities", "pulse_rate",
            "--binding", "X", "--binding", "Y", "--valid-to", "2026-12-01T00:00:00+01:00",
        ]
    )  # fmt: skip
    assert found.command == "decision record"
    assert found.quantities == ["heart_rate", "spo2", "pulse_rate"]
    assert found.binding == ["X", "Y"]
    assert found.valid_to == dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC)


def test_parse_keeps_nothing_between_commands() -> None:
    """In a batch, one command's lists do not grow into the next one's."""
    command_line.parse([*RECORD, "--quantities", "heart_rate", "--binding", "X"])
    found = command_line.parse([*RECORD, "--binding", "Y"])
    assert (found.quantities, found.binding) == ([], ["Y"])


@pytest.mark.parametrize(
    "argv",
    [
        ["--config", "f.toml", "--json", "subject", "add", "--name", "x"],
        ["subject", "add", "--name", "x", "--config", "f.toml", "--json"],
    ],
)
def test_options_stand_before_or_behind(argv: list[str]) -> None:
    """--config and --json are understood on either side of the command."""
    found = command_line.parse(argv)
    assert (str(found.config), found.json) == ("f.toml", True)


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
    """What was given may be a name, so no error repeats it."""
    with pytest.raises(UsageError, match=message) as error:
        command_line.parse(argv)
    assert "Ada" not in str(error.value)


def test_locale_and_text_are_kept() -> None:
    """How a decision was put on record is read as given."""
    text = "ab" * 32
    found = command_line.parse(
        [*RECORD, "--binding", "X", "--locale", "fr-FR", "--text-sha256", text]
    )
    assert (found.locale, found.text_sha256) == ("fr-FR", text)


def test_nothing_is_filled_in() -> None:
    """How, by whom, when, which text and in which language: none of it has a default."""
    found = command_line.parse([*RECORD, "--binding", "X"])
    said = ("given_by", "captured_by", "text", "text_sha256", "locale", "given_at", "scan")
    assert [getattr(found, name) for name in said] == [None] * len(said)
    withdrawn = command_line.parse(
        ["decision", "withdraw", "--subject", SUBJECT, "--purpose", "p"]
    )
    assert withdrawn.given_by == "not-stated"

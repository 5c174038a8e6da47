"""Tables fit the terminal, and lose nothing."""

from typing import Any

import pytest

from runtime.command_line.table import format_table

ROW: dict[str, Any] = {
    "subject": "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0",
    "added_at": "2026-11-30T20:39:08+00:00",
    "quantities": ["heart_rate", "blood_pressure_systolic", "spo2"],
    "note": "a sentence of some length that may be wrapped at every blank",
}


@pytest.mark.parametrize("width", [60, 80, 100, 145, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Every line fits, and every word of every cell is there."""
    shown = format_table([ROW, ROW], width=width)
    assert max(map(len, shown.splitlines())) <= width
    for word in (ROW["subject"], ROW["added_at"], "blood_pressure_systolic,", "wrapped", "blank"):
        assert shown.count(word) == 2


def test_a_file_has_no_width() -> None:
    """Without a terminal, a row is one line."""
    assert len(format_table([ROW, ROW]).splitlines()) == 3


def test_a_wide_table_becomes_blocks() -> None:
    """Where ids and times do not fit side by side, each row is a block, one line a column."""
    shown = format_table([ROW], width=60)
    assert shown.splitlines()[0] == "subject     0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0"


@pytest.mark.parametrize(
    ("name", "columns"), [("Zoé", 3), ("Zoe\u0301", 3), ("山田", 4), ("Ada\nLovelace", 12)]
)
def test_columns_of_the_terminal_are_counted(name: str, columns: int) -> None:
    """Combining marks take no column, wide characters take two, a line break becomes a blank."""
    first, second = format_table([{"a": name, "b": "x"}], width=80).splitlines()
    assert first == "a" + " " * (columns + 1) + "b"
    assert second.endswith("  x")


def test_no_rows_and_no_values() -> None:
    """An empty table and empty cells have words of their own."""
    assert format_table([]) == "none"
    assert format_table([{"a": None, "b": [], "c": True}]).splitlines()[1] == "-  -  yes"

"""Named SQL statements."""

from pathlib import Path

import pytest

from runtime.database.named_sql import parse, read


def test_parse_takes_statements_by_name() -> None:
    """Statements are found by name, without comments and the final semicolon."""
    text = "-- about\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n"
    assert parse(text) == {"one": b"SELECT 1", "two": b"SELECT\n  2"}


def test_files_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements of several files are read together, and a repeated name is refused."""
    folder = tmp_path / "spoken_for" / "sql"
    folder.mkdir(parents=True)
    (tmp_path / "spoken_for" / "__init__.py").touch()
    for file, text in {
        "a.sql": "-- name: one\nSELECT 1;",
        "b.sql": "-- name: two\nSELECT 2;",
    }.items():
        (folder / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    assert read("spoken_for", "a.sql", "b.sql") == {"one": b"SELECT 1", "two": b"SELECT 2"}
    with pytest.raises(ValueError, match="repeats statement names: two"):
        read("spoken_for", "a.sql", "b.sql", "b.sql")

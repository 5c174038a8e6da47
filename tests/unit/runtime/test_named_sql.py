"""SQL by name."""

from runtime.named_sql import parse


def test_parse_takes_statements_by_name() -> None:
    """Comments and the last semicolon are left out."""
    text = "-- about\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n"
    assert parse(text) == {"one": b"SELECT 1", "two": b"SELECT\n  2"}

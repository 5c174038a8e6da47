"""SQL by name."""

from ingest.queries import QUERIES, parse


def test_parse_takes_statements_by_name() -> None:
    """Comments and the last semicolon are left out."""
    text = "-- about\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n"
    assert parse(text) == {"one": b"SELECT 1", "two": b"SELECT\n  2"}


def test_every_statement_has_a_body() -> None:
    """No name stands before nothing."""
    assert all(QUERIES.values())
    assert b"ON CONFLICT DO NOTHING" in QUERIES["claim"]

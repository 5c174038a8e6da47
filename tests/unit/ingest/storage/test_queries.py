"""The SQL statements of ingest."""

from ingest.storage.queries import QUERIES


def test_every_statement_has_a_body() -> None:
    """No statement is empty."""
    assert all(QUERIES.values())
    assert b"ON CONFLICT DO NOTHING" in QUERIES["claim"]

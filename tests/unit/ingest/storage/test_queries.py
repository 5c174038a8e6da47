"""The statements of ingest."""

from ingest.storage.queries import QUERIES


def test_every_statement_has_a_body() -> None:
    """No name stands before nothing."""
    assert all(QUERIES.values())
    assert b"ON CONFLICT DO NOTHING" in QUERIES["claim"]

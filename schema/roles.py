"""The roles of both databases, and how one is let in."""

from typing import Final

import psycopg
from psycopg import sql

TELEMETRY: Final = ("vv_owner", "vv_ingest", "vv_trust", "vv_reader", "vv_grafana")
"""Of the telemetry database; its migrations create them."""
VAULT: Final = "vv_trust"
"""Of the vault, which no other role may connect to."""


def let_in(connection: psycopg.Connection, role: str, password: str) -> None:
    """Let *role* log in with *password* from now on; psycopg.Error if the server refuses."""
    # The server is sent the verifier, never the password: statements may be logged.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(verifier)
        )
    )

"""The roles of both databases, and their passwords."""

from typing import Final

import psycopg
from psycopg import sql

TELEMETRY: Final = ("vv_owner", "vv_ingest", "vv_trust", "vv_reader", "vv_grafana")
"""The roles of the telemetry database, which its migrations create."""
VAULT: Final = "vv_trust"
"""The only role that may connect to the vault."""


STARTING: Final = ("vv_ingest", "vv_trust")
"""The roles of programs, which look at the telemetry database's migrations when they start."""


def let_in(connection: psycopg.Connection, role: str, password: str) -> None:
    """
    Allow *role* to log in with *password*.

    Raises:
        psycopg.Error: The server has refused.
    """
    # Sends the SCRAM verifier (RFC 5802) instead of the password: statements may be logged.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(verifier)
        )
    )

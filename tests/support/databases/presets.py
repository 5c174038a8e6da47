"""Presets that an operator, a dump or a tool may have left for a database or a role."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import psycopg
from psycopg import sql

from tests.fixtures.database import Database

REPAIRED: Final[Mapping[str, str]] = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kolkata",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "extra_float_digits": "-3",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "transform_null_equals": "on",
    "xmloption": "document",
    "search_path": "nowhere",
    "row_security": "off",
    "exit_on_error": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "idle_session_timeout": "1",
}
"""Presets that a session overrides."""
REFUSED: Final[Mapping[str, str]] = {
    "session_replication_role": "replica",
    "plpgsql.variable_conflict": "use_column",
    "timescaledb.restoring": "on",
    "timescaledb.disable_load": "on",
}
"""Presets that only a superuser may change: a session with one of them is refused."""
SCOPES: Final = ("database", "role", "role in database")


@contextlib.contextmanager
def preset(
    databases: Sequence[Database],
    settings: Mapping[str, str],
    *,
    scope: str = "database",
    role: str = "vv_trust",
) -> Iterator[None]:
    """Preset *settings* for *databases*, *role*, or *role* in them, while the context is open."""
    targets = _targets(databases, scope, role)
    with psycopg.connect(databases[0].server.dsn(), autocommit=True) as connection:
        try:
            for target in targets:
                for name, value in settings.items():
                    connection.execute(
                        sql.SQL("{} SET {} = {}").format(
                            target, sql.Identifier(*name.split(".")), _value(name, value)
                        )
                    )
            yield
        finally:
            for target in targets:
                connection.execute(sql.SQL("{} RESET ALL").format(target))


def _value(name: str, value: str) -> sql.Composable:
    # Items of a list are quoted separately; one literal would name a single schema.
    items = value.split(", ") if name == "search_path" else [value]
    return sql.SQL(", ").join(map(sql.Literal, items))


def _targets(databases: Sequence[Database], scope: str, role: str) -> Sequence[sql.Composable]:
    whom = sql.Identifier(role)
    names = [sql.Identifier(database.name) for database in databases]
    if scope == "database":
        return [sql.SQL("ALTER DATABASE {}").format(name) for name in names]
    if scope == "role":
        return [sql.SQL("ALTER ROLE {}").format(whom)]
    return [sql.SQL("ALTER ROLE {} IN DATABASE {}").format(whom, name) for name in names]

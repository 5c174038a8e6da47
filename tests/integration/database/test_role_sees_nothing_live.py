"""
The server's own statistics: nothing that a dashboard's role can read changes with a reading.

All relations, with their system columns, and all functions that the role may call without
arguments or with a table are read before and after a reading, a withdrawal and another
transaction.
"""

import datetime as dt
from typing import Final, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.fixtures.database import Database

pytestmark = pytest.mark.database

_NOW: Final = dt.datetime(2026, 5, 4, 9, tzinfo=dt.UTC)
_RELATIONS: Final = """
SELECT n.nspname, c.relname, c.relkind IN ('r', 'm', 'p') FROM pg_class c
JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'v', 'p', 'm', 'f') AND has_schema_privilege(%(role)s, n.oid, 'USAGE')
    AND has_any_column_privilege(%(role)s, c.oid, 'SELECT') ORDER BY 1, 2
"""
_FUNCTIONS: Final = """
SELECT p.oid::regproc::text, coalesce(p.proargtypes[0]::regtype::text, ''), p.proretset
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE prokind = 'f' AND has_function_privilege(%(role)s, p.oid, 'EXECUTE')
    AND has_schema_privilege(%(role)s, n.oid, 'USAGE')
    AND (pronargs = 0 OR pronargs = 1 AND proargtypes[0] IN ('oid'::regtype, 'regclass'::regtype,
        'xid'::regtype, 'text'::regtype))
    AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
ORDER BY 1, 2
"""
_OWN: Final = frozenset({
    # Excluded are the time and the properties of the reading session.
    "now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday",
    "pg_backend_pid", "random", "gen_random_uuid", "uuidv4", "uuidv7", "pg_sleep", "random_normal",
    "inet_client_port", "pg_cancel_backend", "pg_terminate_backend", "uuid_generate_v7",
    "generate_uuid", "generate_uuidv7",
})  # fmt: skip
_SESSION: Final = frozenset({"pg_cursors", "pg_prepared_statements", "pg_settings"})
_TABLE: Final = "vv.permissions"


def _call(name: str, argument: str) -> sql.Composed:
    target: LiteralString = {
        "": "",
        "oid": f"'{_TABLE}'::regclass::oid",
        "regclass": f"'{_TABLE}'",
        "xid": "'3'::xid",
        "text": f"'{_TABLE}'",
    }[argument]
    parts = [sql.Identifier(*name.replace('"', "").split(".")), sql.SQL(target)]
    return sql.SQL("SELECT {}({})::text").format(*parts)


def _seen(database: Database, role: str) -> dict[str, object]:
    """Return everything that *role* can see, by source."""
    found: dict[str, object] = {}
    with psycopg.connect(database.dsn(), autocommit=True) as admin:
        relations = admin.execute(_RELATIONS, {"role": role}).fetchall()
        functions = admin.execute(_FUNCTIONS, {"role": role}).fetchall()
    with psycopg.connect(database.dsn(role), autocommit=True) as connection:

        def ask(where: str, text: sql.SQL | sql.Composed) -> None:
            try:
                found[where] = sorted(map(repr, connection.execute(text).fetchall()))
            except psycopg.Error as error:
                found[where] = error.sqlstate

        for schema, name, has_system_columns in relations:
            if str(name) in _SESSION:
                continue
            at = sql.Identifier(str(schema), str(name))
            # Autovacuum analyses catalogues from time to time; that reveals tables, and not rows.
            ours = " WHERE schemaname <> 'pg_catalog'" if name == "pg_stats" else ""
            ask(f"{name}", sql.SQL("SELECT t::text FROM {} t" + ours).format(at))  # noqa: S608
            if has_system_columns:
                ask(f"{name}.xmin", sql.SQL("SELECT max(xmin::text::bigint) FROM {}").format(at))
        for name, argument, _ in functions:
            if str(name).split(".")[-1] not in _OWN:
                ask(f"{name}({argument})", _call(str(name), str(argument)))
    return found


def _live(database: Database) -> None:
    """
    Store a reading, grant and withdraw a permission as the programs do, and wait for the
    statistics.
    """
    with psycopg.connect(database.dsn("vv_ingest"), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO vv.observations VALUES (%s, 1, 70, 0)", [_NOW + dt.timedelta(hours=1)]
        )
    with psycopg.connect(database.dsn()) as connection:
        connection.execute(
            "INSERT INTO vv.series (pseudonym, purpose, quantity)"
            " VALUES (decode(md5(random()::text), 'hex'), 'care', 1)"
        )
        connection.execute("SELECT vv.next_epoch()")
        connection.execute("SELECT pg_stat_force_next_flush()")
    for table in ("vv.observations", "vv.series", "vv.permission_gate"):
        database.execute(f"ANALYZE {table}")
    database.execute("SELECT pg_stat_force_next_flush()")


@pytest.mark.parametrize("role", ["vv_grafana", "vv_reader"])
def test_nothing_moves_with_a_reading(database: Database, role: str) -> None:
    """Everything that the role can read is equal before and after, and there is much to read."""
    database.execute("SELECT vv.ensure_partitions(%s, %s)", _NOW.date(), _NOW.date())
    _live(database)
    before = _seen(database, role)
    _live(database)
    after = _seen(database, role)

    assert len(before) > 200
    moved = {w for w in before.keys() | after.keys() if before.get(w) != after.get(w)}
    assert moved == set()


def test_it_would_be_seen(database: Database) -> None:
    """With public statistics each reading changes something, and the test detects it."""
    database.execute("SELECT vv.ensure_partitions(%s, %s)", _NOW.date(), _NOW.date())
    database.execute(
        "GRANT EXECUTE ON FUNCTION pg_stat_get_tuples_inserted(oid), pg_current_xact_id(),"
        " pg_current_wal_lsn() TO PUBLIC"
    )
    database.execute("GRANT SELECT ON pg_class TO PUBLIC")
    _live(database)
    before = _seen(database, "vv_grafana")
    _live(database)
    after = _seen(database, "vv_grafana")

    moved = {where for where in before if before[where] != after.get(where)}
    assert {"pg_class", "pg_current_xact_id()", "pg_current_wal_lsn()"} <= moved

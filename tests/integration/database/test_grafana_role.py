"""
Attacks on the role of the dashboards: a viewer of a dashboard can send any SQL with it.

The database holds a canary: values and a pseudonym that occur nowhere else. No answer, error or
side effect of any statement may contain it.
"""

import datetime as dt
from pathlib import Path
from typing import Final

import psycopg
import pytest

from tests.fixtures.database import Database

pytestmark = pytest.mark.database

CANARY_VALUE: Final = 187.0
CANARY: Final = "c0ffee00c0ffee00c0ffee00c0ffee00"
HOUR: Final = dt.datetime(2026, 5, 4, 9, tzinfo=dt.UTC)
_PLANT: Final = Path(__file__).parents[2] / "support" / "plant_canary.sql"

_STATEMENTS: Final = {
    "tables": "SELECT * FROM vv.observations",
    "whole rows": "SELECT o::text FROM vv.observations o",
    "one column": "SELECT value FROM vv.observations",
    "count alone": "SELECT count(*) FROM vv.observations",
    "series": "SELECT * FROM vv.series",
    "permissions": "SELECT * FROM vv.permissions",
    "agents": "SELECT * FROM vv.agents",
    "leases": "SELECT * FROM vv.leases",
    "ledger": "SELECT * FROM vv.envelopes",
    "quarantine": "SELECT * FROM vv.quarantine",
    "spools": "SELECT * FROM vv.spools",
    "aggregates": "SELECT * FROM vv.aggregates_1h",
    "unpublished figures": "SELECT * FROM vv.published_cohorts",
    "unpublished shares": "SELECT * FROM vv.published_shares",
    "TABLE": "TABLE vv.observations",
    "COPY out": "COPY vv.observations TO STDOUT",
    "COPY a query": "COPY (SELECT value FROM vv.observations) TO STDOUT",
    "COPY to a file": "COPY vv.ops_storage TO '/tmp/vitalveil-leak'",
    "COPY to a program": "COPY vv.ops_storage TO PROGRAM 'cat'",
    "COPY from a file": "CREATE TEMP TABLE t (x text); COPY t FROM '/etc/passwd'",
    "statistics": "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats"
    " WHERE schemaname = 'vv'",
    "statistics, raw": "SELECT stavalues1::text FROM pg_statistic",
    "extended statistics": "SELECT * FROM pg_stats_ext",
    "other people's queries": "SELECT query FROM pg_stat_activity WHERE usename <> 'vv_grafana'"
    " AND query NOT IN ('', '<insufficient privilege>')",
    "statements": "SELECT query FROM pg_stat_statements",
    "files": "SELECT pg_read_file('PG_VERSION')",
    "folders": "SELECT pg_ls_dir('base')",
    "log folder": "SELECT * FROM pg_ls_logdir()",
    "large objects": "SELECT lo_import('/etc/passwd')",
    "another role": "SET ROLE vv_owner; SELECT * FROM vv.observations",
    "another session": "SET SESSION AUTHORIZATION vv_owner; SELECT * FROM vv.observations",
    "grant to oneself": "GRANT vv_owner TO vv_grafana",
    "grant a table": "GRANT SELECT ON vv.observations TO vv_grafana",
    "a password": "ALTER ROLE vv_ingest PASSWORD 'x'",
    "passwords": "SELECT rolpassword FROM pg_authid",
    "settings": "SELECT setting FROM pg_settings WHERE name = 'hba_file' AND setting IS NOT NULL",
    "a superuser's setting": "SET log_statement = 'all'",
    "no security": "ALTER VIEW vv.ops_series RESET (security_barrier)",
    "a view's owner": "ALTER VIEW vv.ops_series OWNER TO vv_grafana",
    "a function of mine": "CREATE FUNCTION vv.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a function in public": "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a table of mine": "CREATE TABLE vv.t (x int)",
    "an operator that looks": "CREATE FUNCTION pg_temp.peek(anyelement) RETURNS bool"
    " LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen %', $1; RETURN true; END $$;"
    " SELECT * FROM vv.ops_series WHERE pg_temp.peek(series)",
    "an error that tells": "SELECT * FROM vv.ops_quarantine WHERE (1 / (CASE WHEN"
    " reason = 'c0ffee00c0ffee00c0ffee00c0ffee00' THEN 0 ELSE 1 END)) = 1 AND reason::int = 1",
    "a trigger": "CREATE TRIGGER t BEFORE INSERT ON vv.observations EXECUTE FUNCTION pg_temp.f()",
    "permissions changed": "SELECT vv.change_permissions()",
    "permissions held": "SELECT vv.hold_permissions()",
    "figures published": "SELECT vv.publish_cohorts(now())",
    "shares published": "SELECT vv.publish_shares(now())",
    "shares of half a person": "UPDATE vv.scales SET hours_wanted = 1",
    "bands that overlap": "INSERT INTO vv.bands VALUES (1, 9, 5, '187')",
    "a series that counts": "UPDATE vv.series SET counted_from = '-infinity'",
    "partitions": "SELECT vv.ensure_partitions('2020-01-01', '2020-01-02')",
    "notifications": "LISTEN vv_permissions; SELECT 1 WHERE false",
    "row estimates of one value": "EXPLAIN SELECT * FROM vv.observations WHERE value = 187",
    "plans that run": "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM vv.observations",
    "prepared": "PREPARE p AS SELECT * FROM vv.observations; EXECUTE p",
    "a cursor": "BEGIN; DECLARE c CURSOR FOR SELECT * FROM vv.observations; FETCH 10 FROM c",
    "a block": "DO $$ BEGIN RAISE NOTICE '%', (SELECT max(value) FROM vv.observations); END $$",
    "XML of a table": "SELECT table_to_xml('vv.observations', true, false, '')",
    "XML of a schema": "SELECT schema_to_xml('vv', true, false, '')",
    "XML of the database": "SELECT database_to_xml(true, false, '')",
    "XML of a query": "SELECT query_to_xml('SELECT * FROM vv.observations', true, false, '')",
    "search by text": "SELECT ts_stat('SELECT to_tsvector(value::text) FROM vv.observations')",
    "pages": "SELECT get_raw_page('vv.observations', 0)",
    "write-ahead log": "SELECT pg_logical_slot_get_changes('s', NULL, NULL)",
    "a slot": "SELECT pg_create_logical_replication_slot('s', 'test_decoding')",
    "a publication": "CREATE PUBLICATION p FOR TABLE vv.observations",
    "a foreign server": "CREATE EXTENSION postgres_fdw",
    "dblink": "CREATE EXTENSION dblink",
    "untrusted language": "CREATE EXTENSION plpython3u",
    "the vault": "SELECT * FROM vault.subjects",
    "deleting": "DELETE FROM vv.observations",
    "updating a view": "UPDATE vv.quantities SET name = 'x'",
    "truncating": "TRUNCATE vv.observations",
    "locking": "LOCK TABLE vv.permission_gate IN ACCESS EXCLUSIVE MODE",
    "locking a view's table": "LOCK TABLE vv.quantities IN ACCESS EXCLUSIVE MODE",
    "killing": "SELECT 1 FROM pg_stat_activity WHERE usename <> 'vv_grafana'"
    " AND pg_terminate_backend(pid)",
}  # fmt: skip


@pytest.fixture
def planted(database: Database) -> Database:
    """A database with twelve people, and a canary in every table."""
    database.execute(_PLANT.read_text())
    _roll_up(database)
    database.execute("SELECT vv.publish_cohorts(%s)", HOUR + dt.timedelta(days=3))
    password = database.server.password
    database.execute(f"ALTER ROLE vv_grafana LOGIN PASSWORD '{password}'")
    return database


def _roll_up(database: Database) -> None:
    kind = database.fetch("SELECT relkind FROM pg_class WHERE oid = 'vv.aggregates_1m'::regclass")
    if kind == [("r",)]:
        database.execute("SELECT pg_stat_force_next_flush()")
        database.execute("SELECT vv.roll_up(%s)", HOUR + dt.timedelta(days=3))


def _everything_told(database: Database, statement: str) -> str:
    """Return all output of *statement* for the role: rows, notices and the text of the error."""
    told: list[str] = []
    with psycopg.connect(database.dsn("vv_grafana"), autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
        try:
            if statement.startswith("COPY") and "STDOUT" in statement:
                with connection.cursor().copy(statement.encode()) as copied:
                    told += [bytes(part).decode() for part in copied]
            else:
                cursor = connection.execute(statement.encode())
                while True:
                    if cursor.description is not None:
                        told += [repr(row) for row in cursor.fetchall()]
                    if not cursor.nextset():
                        break
        except psycopg.Error as error:
            told.append(f"{error} {error.diag.message_detail} {error.diag.context}")
    return "\n".join(told)


def _leaks(told: str) -> bool:
    return any(sign in told.lower() for sign in (CANARY, "187", "xc0\\xff\\xee", "root:"))


@pytest.fixture
def _no_leftover() -> None:
    Path("/tmp/vitalveil-leak").unlink(missing_ok=True)


@pytest.mark.usefixtures("_no_leftover")
def test_no_statement_leaks_a_person(planted: Database) -> None:
    """No attack reveals the canary in an answer, notice or error, or changes anything."""
    before = _state(planted)
    leaks = {
        name: told
        for name, statement in _STATEMENTS.items()
        if _leaks(told := _everything_told(planted, statement).replace(statement, ""))
    }
    assert leaks == {}
    assert _state(planted) == before
    assert not Path("/tmp/vitalveil-leak").exists()


def _state(database: Database) -> list[tuple[object, ...]]:
    return database.fetch(
        "SELECT (SELECT count(*) FROM vv.observations), (SELECT count(*) FROM vv.series),"
        " (SELECT epoch FROM vv.permission_gate), (SELECT count(*) FROM vv.published_cohorts),"
        " (SELECT count(*) FROM vv.published_shares), (SELECT count(*) FROM vv.bands),"
        " (SELECT sum(hours_wanted) FROM vv.scales), (SELECT min(counted_from) FROM vv.series),"
        " (SELECT count(*) FROM pg_proc), (SELECT array_agg(name ORDER BY 1) FROM vv.quantities)"
    )


def test_every_relation_and_function_within_reach_leaks_nothing(planted: Database) -> None:
    """
    No relation or function that the role may use contains the canary, including chunks and
    catalogues.
    """
    relations = planted.fetch(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind IN ('r', 'v', 'p', 'm', 'f') AND has_schema_privilege('vv_grafana', n.oid,"
        " 'USAGE') AND has_table_privilege('vv_grafana', c.oid, 'SELECT')"
    )
    assert len(relations) > 100
    for schema, name in relations:
        # Definitions of views and functions are excluded: they are no secret, and may contain any
        # number.
        if name in ("pg_proc", "pg_views", "pg_rewrite", "routines", "views", "parameters"):
            continue
        told = _everything_told(planted, f'TABLE "{schema}"."{name}" LIMIT 5000')
        assert CANARY not in told.lower(), name
        assert f"{CANARY_VALUE}" not in told, name


def test_functions_of_ours_are_closed_to_the_role(planted: Database) -> None:
    """
    The role cannot call any function of the schema, because each acts with its owner's
    rights.
    """
    functions = planted.fetch(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = 'vv'::regnamespace"
        " AND has_function_privilege('vv_grafana', p.oid, 'EXECUTE')"
    )
    assert functions == []


def test_the_attack_would_find_a_leak(planted: Database) -> None:
    """With one grant too many the check reports the leak: the tests above can fail."""
    planted.execute("GRANT SELECT ON vv.observations, vv.series TO vv_grafana")
    try:
        found = {
            name
            for name, statement in _STATEMENTS.items()
            if _leaks(_everything_told(planted, statement).replace(statement, ""))
        }
        assert {"tables", "one column", "series", "COPY a query", "statistics"} <= found
    finally:
        planted.execute("REVOKE SELECT ON vv.observations, vv.series FROM vv_grafana")


def test_a_figure_that_one_person_makes_is_not_shown(planted: Database) -> None:
    """
    Twelve people at 70 and one at 187: mean and spread are not published, because they would
    reveal the one.
    """
    assert planted.fetch("SELECT * FROM vv.cohorts_hourly") == []
    assert planted.fetch("SELECT * FROM vv.cohorts_daily") == []
    planted.execute("UPDATE vv.series SET restricted_at = now() WHERE series_id = 1")
    planted.execute("TRUNCATE vv.published_through")
    planted.execute("SELECT vv.publish_cohorts(%s)", HOUR + dt.timedelta(days=3))
    assert planted.fetch("SELECT subjects, mean, spread FROM vv.cohorts_hourly") == [
        (11, 70, None)
    ]

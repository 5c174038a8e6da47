"""Each test gets a copy of a migrated database, with the same rights, settings and schema."""

import psycopg
import pytest

from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database, Template, create_database
from tests.fixtures.vault import Office, create_vault

pytestmark = pytest.mark.database

_RIGHTS = """
SELECT pg_get_userbyid(datdba), a.grantor, a.grantee, a.privilege_type
FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
WHERE datname = current_database() ORDER BY 2, 3, 4
"""
_SETTINGS = """
SELECT setdatabase = 0, setrole::regrole::text, unnest(setconfig) FROM pg_db_role_setting
WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY 1, 2, 3
"""


def _alike(one: Database, other: Database) -> None:
    for query in (_RIGHTS, _SETTINGS):
        rows = one.fetch(query)
        assert rows
        assert rows == other.fetch(query)
    schema = "SELECT number, digest FROM public.vv_migrations ORDER BY number"
    assert one.fetch(schema) == other.fetch(schema)


def test_a_copy_has_the_rights_of_a_migrated_database(postgres: Postgres, office: Office) -> None:
    """Copies of both databases have the owner, grants and presets of a migrated database."""
    migrated = create_database(postgres)
    _alike(migrated, office.telemetry)
    vault = create_vault(postgres, office.folder)
    _alike(vault, office.vault)
    for made in (migrated, vault):
        made.drop()


def test_a_copy_is_of_one_test(database: Database, office: Office) -> None:
    """A new copy of each database is empty, because tests never write to the template."""
    assert database is office.telemetry
    for name in ("series", "permissions", "observations"):
        assert database.fetch(f"SELECT count(*) FROM vv.{name}") == [(0,)]  # noqa: S608 - constants
    assert office.vault.fetch("SELECT count(*) FROM vault.subjects") == [(0,)]


def test_roles_may_log_in_whatever_an_earlier_test_did(
    postgres: Postgres, telemetry_template: Template
) -> None:
    """Each copy sets the passwords of the roles again, which all databases of a server share."""
    for role in ("vv_owner", "vv_ingest", "vv_trust", "vv_reader", "vv_grafana"):
        with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {role} NOLOGIN PASSWORD 'of another test'".encode())
        with telemetry_template.copied() as made, psycopg.connect(made.dsn(role)) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)

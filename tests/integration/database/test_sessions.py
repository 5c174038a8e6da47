"""Sessions with a real server get the settings that the statements rely on, or are refused."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.errors import Unusable
from ingest.storage.database import connect as connect_ingest
from runtime.database import postgres
from runtime.database.session_settings import MEANING, Limits
from runtime.errors import SessionRefused
from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database
from tests.support.databases.presets import REFUSED, REPAIRED, SCOPES, preset
from tests.support.databases.servers import alter

pytestmark = pytest.mark.database

_LIMITS = Limits(lock_ms=10_000, idle_in_transaction_ms=60_000)


@pytest.fixture(scope="module")
def bare(postgres: Postgres) -> Iterator[Database]:
    """An empty database for these tests, and the role vv_trust, which may log in."""
    made = Database(postgres, "sessions", "native")
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE sessions")
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = 'vv_trust'").fetchall():
            connection.execute("CREATE ROLE vv_trust")
        connection.execute(f"ALTER ROLE vv_trust LOGIN PASSWORD '{postgres.password}'".encode())
    yield made
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("DROP DATABASE sessions WITH (FORCE)")


def _wrong(connection: postgres.Connection) -> list[str]:
    """Return the settings of the session that differ from the wanted ones."""
    settings = [*MEANING, *_LIMITS.settings()]
    found: dict[str, str] = dict(
        connection.execute(
            "SELECT lower(name), setting FROM pg_settings"
            " UNION SELECT 'role', current_setting('role')"
        ).fetchall()
    )
    return [s.name for s in settings if not s.holds(found.get(s.name.lower(), s.value))]


def _plain(database: Database, name: str) -> object:
    """Return the setting of a session that requests none; None if that session ends too early."""
    try:
        with psycopg.connect(database.dsn("vv_trust"), autocommit=True) as connection:
            return connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    except psycopg.OperationalError:
        return None


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("name", REPAIRED)
def test_session_does_not_take_what_is_preset(bare: Database, name: str, scope: str) -> None:
    """Each setting has the wanted value, wherever another value was preset."""
    with preset([bare], {name: REPAIRED[name]}, scope=scope):
        found = _plain(bare, name)
        with postgres.connect(bare.dsn("vv_trust"), limits=_LIMITS) as connection:
            assert _wrong(connection) == []
            got = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert got != found, "the preset did not bite, and nothing was seen"


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("name", REFUSED)
def test_session_is_refused_by_the_name_of_a_setting(
    bare: Database, name: str, scope: str
) -> None:
    """
    If a wanted setting needs a superuser, the refusal names the setting, its source and the
    remedy.
    """
    with (
        preset([bare], {name: REFUSED[name]}, scope=scope),
        pytest.raises(SessionRefused, match=name) as refused,
    ):
        postgres.connect(bare.dsn("vv_trust"))
    assert "ALTER" in str(refused.value)


async def test_programs_refuse_alike(bare: Database) -> None:
    """Asynchronous connections are refused like synchronous ones, and ingest exits for good."""
    with preset([bare], {"session_replication_role": "replica"}):
        with pytest.raises(SessionRefused, match="ALTER DATABASE"):
            await postgres.connect_async(bare.dsn("vv_trust"))
        with pytest.raises(Unusable, match="session_replication_role"):
            await connect_ingest(bare.dsn("vv_trust"), autocommit=True)


async def test_all_presets_at_once_are_repaired(bare: Database) -> None:
    """
    With all presets at once both kinds of connection get the wanted settings and commit
    mode.
    """
    with preset([bare], REPAIRED):
        with postgres.connect(bare.dsn("vv_trust"), limits=_LIMITS, autocommit=False) as one:
            assert _wrong(one) == []
            assert not one.autocommit
        other = await postgres.connect_async(
            bare.dsn("vv_trust"), limits=_LIMITS, autocommit=False
        )
        async with other:
            cursor = await other.execute("SELECT '1 day'::interval, timestamptz '2026-11-30'")
            assert str(await cursor.fetchone()).count("datetime") >= 2
            assert not other.autocommit


def test_a_role_that_is_preset_is_not_taken(bare: Database) -> None:
    """A session works as the role that logged in, not as a preset role."""
    with psycopg.connect(bare.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE vv_other; GRANT vv_other TO vv_trust")
        try:
            with (
                preset([bare], {"role": "vv_other"}, scope="role"),
                postgres.connect(bare.dsn("vv_trust")) as connection,
            ):
                assert connection.execute("SELECT current_user").fetchone() == ("vv_trust",)
        finally:
            admin.execute("DROP ROLE vv_other")


def test_a_stronger_commit_stays(bare: Database) -> None:
    """
    If an operator makes COMMIT wait until the standby has applied it, the session keeps
    that.
    """
    for value, expected in (("remote_apply", "remote_apply"), ("remote_write", "on")):
        with (
            preset([bare], {"synchronous_commit": value}),
            postgres.connect(bare.dsn("vv_trust")) as connection,
        ):
            assert connection.execute("SHOW synchronous_commit").fetchone() == (expected,)


def test_a_configuration_that_is_read_again_changes_nothing(bare: Database) -> None:
    """
    A running session keeps its commit mode when the server's configuration is weakened
    later.
    """
    with (
        postgres.connect(bare.dsn("vv_trust"), limits=_LIMITS) as connection,
        psycopg.connect(bare.dsn("vv_trust"), autocommit=True) as plain,
    ):
        try:
            alter(bare.server, synchronous_commit="off", TimeZone="CET")
            _until(lambda: plain.execute("SHOW synchronous_commit").fetchone() == ("off",))
            connection.execute("SELECT 1")
            assert _wrong(connection) == []
        finally:
            for name in ("synchronous_commit", "TimeZone"):
                bare.execute(f"ALTER SYSTEM RESET {name}")
            bare.execute("SELECT pg_reload_conf()")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_service_file_changes_nothing(
    bare: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A libpq service file cannot change the settings of a session."""
    file = tmp_path / "services"
    file.write_text("[ours]\noptions=-c DateStyle=German -c synchronous_commit=off\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    with postgres.connect(f"{bare.dsn('vv_trust')} service=ours", limits=_LIMITS) as connection:
        assert _wrong(connection) == []


@pytest.mark.parametrize(
    "variable", [("PGDATESTYLE", "German"), ("PGTZ", "Asia/Tokyo"), ("PGCLIENTENCODING", "LATIN1"),
                 ("PGOPTIONS", "-c DateStyle=German")],
)  # fmt: skip
def test_the_environment_changes_nothing(
    bare: Database, variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment variables of libpq cannot change the date style."""
    monkeypatch.setenv(*variable)
    with postgres.connect(bare.dsn("vv_trust"), limits=_LIMITS) as connection:
        assert _wrong(connection) == []


def test_options_of_the_operator_may_change_limits_alone(bare: Database) -> None:
    """A connection string may change time limits and add unrelated options, and nothing else."""
    own = "-c lock_timeout=7s -c DateStyle=German -c work_mem=5MB"
    with postgres.connect(f"{bare.dsn('vv_trust')} options='{own}'", limits=_LIMITS) as connection:
        assert _wrong(connection) == ["lock_timeout"]
        assert connection.execute("SHOW lock_timeout").fetchone() == ("7s",)
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)


def test_a_limit_of_later_servers_is_lifted(bare: Database) -> None:
    """
    A time limit of later servers, which earlier ones do not know at the start, is
    switched off.
    """
    if bare.fetch("SELECT current_setting('transaction_timeout', true)") == [(None,)]:
        pytest.skip("before PostgreSQL 17 transactions have no limit")
    with (
        preset([bare], {"transaction_timeout": "5s"}),
        postgres.connect(bare.dsn("vv_trust")) as connection,
    ):
        assert connection.execute("SHOW transaction_timeout").fetchone() == ("0",)

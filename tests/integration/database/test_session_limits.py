"""Sessions of people's and dashboards' roles are ended at limits that they cannot change."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from runtime import files
from tests.fixtures.database import Database
from tests.fixtures.vault import settings_of
from tests.support.databases.attackers import BURNING, HOLDING, Attackers
from trust.errors import TelemetryUnavailable
from trust.metrics import Metrics
from trust.telemetry.session_limits import SessionLimits

pytestmark = [pytest.mark.database, pytest.mark.slow]

_ROLES = ("vv_grafana", "vv_reader")
_UNLIFTED = (("temp_file_limit", "64MB", "-1"), ("log_min_messages", "fatal", "debug5"))


class Watched(Metrics):
    """The running limits, and the sessions that they have ended."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__()
        self.ended: dict[str, int] = {}
        self.looks = 0
        password_file = folder / "trust.password"
        files.write(password_file, database.server.password.encode())
        password_file.chmod(0o600)
        self.limits = SessionLimits(settings_of(database, password_file), self, every_s=0.5)

    def note_ended(self, cause: str, sessions: int) -> None:
        """Count the ended session, and remember its reason."""
        super().note_ended(cause, sessions)
        self.ended[cause] = self.ended.get(cause, 0) + sessions

    def note_done(self, what: str) -> None:
        """Note a finished look, and count it."""
        super().note_done(what)
        if hasattr(self, "looks"):
            self.looks += 1


@pytest.fixture
def watched(database: Database, tmp_path: Path) -> Iterator[Watched]:
    """Limits that a thread enforces."""
    one = Watched(database, tmp_path)
    with one.limits.running():
        yield one


@contextlib.contextmanager
def _open(database: Database, role: str, *statements: str) -> Iterator[psycopg.Connection]:
    connection = psycopg.connect(database.dsn(role), autocommit=True)
    try:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection
    finally:
        connection.close()


def _is_alive(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "not within its time"
        time.sleep(0.05)
    return time.monotonic() - began


def test_nothing_of_theirs_lasts(database: Database, watched: Watched) -> None:
    """Every such session is ended within 10 seconds, whatever it does to stay."""
    attacks = (*HOLDING, *BURNING)
    attackers = Attackers([database.dsn(role) for role in _ROLES], attacks)
    with attackers.at_work():
        _until(lambda: len(attackers.lasted) == len(attacks), timeout_s=150)
    lasted = {name: seconds for name, seconds in attackers.lasted.items() if seconds > 10}

    assert lasted == {}
    assert {"statement", "transaction", "idle_in_transaction"} <= watched.ended.keys()


def test_others_are_left_alone(database: Database, watched: Watched) -> None:
    """Long transactions of ingest, trust, the owner and administrators are not ended."""
    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(_open(database, role, "BEGIN", "SELECT 1"))
            for role in ("vv_ingest", "vv_trust", "vv_owner", "postgres")
        ]
        owner = stack.enter_context(_open(database, "postgres", "SET ROLE vv_grafana", "BEGIN"))
        theirs = stack.enter_context(_open(database, "vv_grafana", "BEGIN", "SELECT 1"))
        _until(lambda: not _is_alive_quietly(theirs))
        time.sleep(0.1)
        _until(lambda: watched.looks > 12)

        assert all(map(_is_alive, [*others, owner]))


def _is_alive_quietly(connection: psycopg.Connection) -> bool:
    """Tell whether the server still holds the session, without sending anything."""
    with contextlib.suppress(psycopg.Error):
        connection.pgconn.consume_input()
    return connection.pgconn.status == psycopg.pq.ConnStatus.OK


def test_other_databases_are_no_refuge(database: Database, watched: Watched) -> None:
    """
    Such sessions are also ended in another database, because queue and snapshots belong to the
    server.
    """
    dsn = psycopg.conninfo.make_conninfo(database.dsn("vv_reader"), dbname="postgres")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        connection.execute("LISTEN foo")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 1")
        lasted = _until(lambda: not _is_alive_quietly(connection))
    assert lasted < 5


def test_they_are_few(database: Database) -> None:
    """
    A role has at most eight sessions, and cannot change that; ingest and trust can
    always connect.
    """
    with contextlib.ExitStack() as stack:
        for role in _ROLES:
            for _ in range(7):
                stack.enter_context(_open(database, role))
            last = stack.enter_context(
                _open(database, role, "SET default_transaction_read_only = off")
            )
            with pytest.raises(psycopg.OperationalError, match="too many connections"):
                psycopg.connect(database.dsn(role))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                last.execute("ALTER ROLE CURRENT_USER CONNECTION LIMIT -1")
        for role in ("vv_ingest", "vv_trust"):
            stack.enter_context(_open(database, role, "SELECT 1"))


def test_what_a_session_cannot_lift(database: Database) -> None:
    """Only a superuser can change the limits of temporary files and of the server's log."""
    for role in _ROLES:
        with _open(database, role) as connection:
            for setting, value, other in _UNLIFTED:
                assert connection.execute(f"SHOW {setting}".encode()).fetchone() == (value,)
                connection.execute("SET default_transaction_read_only = off")
                for text in (
                    f"SET {setting} = {other}",
                    f"ALTER ROLE CURRENT_USER SET {setting} = {other}",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(text.encode())
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER ROLE CURRENT_USER RESET ALL")
        with _open(database, role) as connection:
            assert connection.execute("SHOW temp_file_limit").fetchone() == ("64MB",)
        # Restored for the other tests of this server.
        database.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")


def test_a_role_cannot_take_itself_from_the_owner(database: Database) -> None:
    """
    The owner ends these sessions by its membership, which the roles can neither revoke nor pass
    on.
    """
    for role in _ROLES:
        for text in (f"REVOKE {role} FROM vv_owner", f"GRANT {role} TO vv_ingest"):
            with (
                _open(database, role) as connection,
                contextlib.suppress(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute("SET default_transaction_read_only = off")
                connection.execute(text.encode())
    assert database.fetch(
        "SELECT pg_has_role('vv_owner', 'vv_reader', 'USAGE'),"
        " pg_has_role('vv_owner', 'vv_grafana', 'USAGE'),"
        " pg_has_role('vv_ingest', 'vv_grafana', 'MEMBER')"
    ) == [(True, True, False)]


def test_without_membership_it_says_so(database: Database, tmp_path: Path) -> None:
    """If the owner may not end these sessions, the look raises an error."""
    watched = Watched(database, tmp_path)
    database.execute("REVOKE vv_reader FROM vv_owner")
    try:
        with pytest.raises(TelemetryUnavailable):
            watched.limits.look()
    finally:
        watched.limits.close()
        database.execute("GRANT vv_reader TO vv_owner")
    assert watched.looks == 0


def test_no_role_but_trust_ends_sessions(database: Database) -> None:
    """
    Only trust may call the function that ends sessions, so no dashboard can end
    another's session.
    """
    for role in (*_ROLES, "vv_ingest"):
        with (
            _open(database, role) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT * FROM vv.end_sessions()")


def test_the_thread_survives_a_server_that_is_away(database: Database, watched: Watched) -> None:
    """After its connection was cut, the thread opens another one at the next look."""
    _until(lambda: watched.looks > 0)
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vv_trust'"
        " AND datname = current_database()"
    )
    seen = watched.looks
    _until(lambda: watched.looks > seen + 1)

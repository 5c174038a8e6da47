"""Each change of a permission and each flush is recorded as a row, in the order of commits."""

import datetime as dt
import threading
from collections.abc import Sequence

import psycopg
import pytest
from psycopg import sql

from runtime.database import migrations
from schema.steps import telemetry as telemetry_steps
from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database
from tests.fixtures.vault import Office, measured
from tests.support.seed_permissions import Seed, change, sow, withdraw
from trust.decisions.permissions import Permission
from trust.domain.pseudonyms import Pseudonym
from trust.telemetry.permissions import Change, Telemetry
from wire.policy import Rule
from wire.quantities import Code

pytestmark = pytest.mark.database

_PERIODS = """
SELECT p.state, p.epoch, p.valid_to, p.step FROM vv.permission_periods p ORDER BY p.position
"""
_FROM = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_END = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
_AGENT = "0123456789abcdef"


def _change(*permissions: Permission) -> Change:
    return Change(_AGENT, "sealed", None, list(permissions), None, 0)


def _permission(*, valid_to: dt.datetime | None = None, step: int = 1) -> Permission:
    return Permission(
        handle=bytes(16),
        quantity=1,
        pseudonym=Pseudonym(bytes(16)),
        purpose="home-monitoring",
        valid_from=_FROM,
        valid_to=valid_to,
        step=step,
        interval_ms=1000,
        time_step_ms=1,
    )


@pytest.fixture
def telemetry(office: Office) -> Telemetry:
    """Trust's access to the telemetry database."""
    return office.app.telemetry


def test_each_change_is_a_row(office: Office, telemetry: Telemetry) -> None:
    """Permitting, narrowing, closing and withdrawing make four rows, each with its epoch."""
    telemetry.write([_change(_permission())])
    telemetry.write([_change(_permission(valid_to=_END, step=2))])
    telemetry.write([_change(_permission(valid_to=_END, step=2))])
    telemetry.write([_change()])

    rows = office.telemetry.fetch(_PERIODS)

    assert [(state, end, step) for state, _, end, step in rows] == [
        ("permitted", None, 1),
        ("permitted", _END, 2),
        ("closed", _END, 2),
        ("withdrawn", _END, 2),
    ]
    epochs = [int(str(epoch)) for _, epoch, _, _ in rows]
    assert epochs == sorted(set(epochs))
    head = office.telemetry.fetch("SELECT changed_epoch FROM vv.permissions")
    assert head == [(epochs[-1],)]


def test_gateways_have_periods_too(office: Office, telemetry: Telemetry) -> None:
    """A revoked gateway has one row for its enrolment and one for its revocation."""
    agent, _ = office.enrol()
    office.run("pki", "revoke", agent, "--yes")

    rows = office.telemetry.fetch(
        "SELECT agent, revoked_at IS NULL FROM vv.agent_periods ORDER BY position"
    )

    assert rows == [(agent, True), (agent, False)]


def _write_at_once(database: Database, number: int, turns: int, failed: list[str]) -> None:
    """Change one handle as trust does, in both ways to get an epoch."""
    with psycopg.connect(database.dsn("vv_trust"), autocommit=True) as connection:
        for turn in range(turns):
            begin = "change_permissions" if (turn + number) % 3 == 0 else "next_epoch"
            with connection.transaction():
                row = connection.execute(
                    sql.SQL("SELECT vv.{}()").format(sql.Identifier(begin))
                ).fetchone()
                assert row is not None
                done = connection.execute(
                    "UPDATE vv.permissions SET step = %s, changed_epoch = %s WHERE handle = %s",
                    [turn + 2, row[0], number.to_bytes(16, "big")],
                )
                if done.rowcount != 1:
                    failed.append(f"writer {number} changed {done.rowcount} rows")


def test_epochs_have_the_order_of_commits(database: Database) -> None:
    """With many concurrent writers a later commit has a later position and a later epoch."""
    writers, turns = 6, 15
    sow(
        database,
        *(
            Seed(handle=n.to_bytes(16, "big"), pseudonym=(100 + n).to_bytes(16, "big"))
            for n in range(writers)
        ),
    )
    failed: list[str] = []
    threads = [
        threading.Thread(target=_write_at_once, args=(database, n, turns, failed))
        for n in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert failed == []
    rows = database.fetch(
        "SELECT epoch, pg_xact_commit_timestamp(transaction::xid) FROM vv.permission_periods"
        " ORDER BY position"
    )
    changes = rows[writers:]
    assert len(changes) == writers * turns
    epochs = [int(str(epoch)) for epoch, _ in changes]
    assert epochs == sorted(set(epochs)), "each transaction has an epoch of its own, in order"
    committed = [at for _, at in changes if isinstance(at, dt.datetime)]
    assert len(committed) == len(changes)
    assert committed == sorted(committed)


def test_a_change_without_its_epoch_is_refused(database: Database) -> None:
    """
    A change with an epoch that its transaction did not begin waits for the other transaction, and
    is refused.
    """
    epoch = sow(database, Seed())
    statement = "UPDATE vv.permissions SET withdrawn_at = 'infinity', changed_epoch = %s"
    refused: list[str] = []

    def write() -> None:
        with psycopg.connect(database.dsn("vv_trust"), autocommit=True) as other:
            try:
                other.execute(statement, [epoch])
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                refused.append(str(error))

    with change(database) as (connection, _):
        writing = threading.Thread(target=write)
        writing.start()
        writing.join(0.3)
        assert writing.is_alive(), "it waits for the gate's row"
        connection.execute("SELECT 1")
    writing.join(60)

    assert len(refused) == 1
    assert database.fetch("SELECT count(*) FROM vv.permission_periods") == [(1,)]


_MEDDLING = [
    "INSERT INTO vv.permission_periods (epoch, handle, quantity, agent, series_id, valid_from,"
    " step, interval_ms, time_step_ms, state) VALUES (1, '', 1, '', 1, now(), 1, 1, 1, 'closed')",
    "UPDATE vv.permission_periods SET state = 'permitted'",
    "DELETE FROM vv.permission_periods",
    "TRUNCATE vv.permission_periods",
    "SELECT setval('vv.permission_periods_position_seq', 1)",
    "UPDATE vv.agent_periods SET revoked_at = NULL",
    "DELETE FROM vv.agent_periods",
    "INSERT INTO vv.flushes VALUES (pg_current_xact_id(), 1)",
    "UPDATE vv.flushes SET epoch = 0",
    "DELETE FROM vv.flushes",
    "ALTER TABLE vv.permissions DISABLE TRIGGER ALL",
    "DROP TRIGGER note_updated ON vv.permissions",
    "SET session_replication_role = replica",
    "UPDATE vv.permissions SET handle = decode(repeat('ff', 16), 'hex')",
    "UPDATE vv.permissions SET agent = agent",
    "UPDATE vv.agents SET agent = 'ffffffffffffffff'",
    "DELETE FROM vv.permissions",
    "TRUNCATE vv.permissions",
    "CREATE TRIGGER mine BEFORE INSERT ON vv.permission_periods EXECUTE FUNCTION vv.note_agents()",
]


@pytest.mark.parametrize("role", ["vv_trust", "vv_ingest"])
@pytest.mark.parametrize("statement", _MEDDLING)
def test_periods_cannot_be_rewritten(database: Database, role: str, statement: str) -> None:
    """Neither trust's role nor ingest's can change or bypass recorded periods."""
    sow(database, Seed())
    before = database.fetch("SELECT * FROM vv.permission_periods")

    with (
        psycopg.connect(database.dsn(role), autocommit=True) as connection,
        pytest.raises(psycopg.Error),
    ):
        connection.execute(statement.encode())

    assert database.fetch("SELECT * FROM vv.permission_periods") == before


def _hold(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT vv.hold_permissions()").fetchone()
    assert row is not None
    return int(row[0])


_FLUSHES = "SELECT epoch FROM vv.flushes ORDER BY transaction"


def test_a_flush_leaves_the_epoch_that_it_held(database: Database) -> None:
    """Each committed transaction records exactly one epoch, and an aborted one none."""
    first = sow(database, Seed())
    with psycopg.connect(database.dsn("vv_ingest")) as connection:
        assert _hold(connection) == first
        connection.commit()
        _hold(connection)
        connection.rollback()
        withdraw(database, Seed().handle)
        second = _hold(connection)
        assert _hold(connection) == second
        connection.commit()

    assert second > first
    assert database.fetch(_FLUSHES) == [(first,), (second,)]


def _next(database: Database) -> int:
    with psycopg.connect(database.dsn("vv_trust")) as connection:
        row = connection.execute("SELECT vv.next_epoch()").fetchone()
    assert row is not None
    return int(row[0])


def test_what_was_decided_later_than_held_is_told(database: Database) -> None:
    """A flush can only declare an epoch that is between the one it holds and the newest one."""
    held = sow(database, Seed())
    with psycopg.connect(database.dsn("vv_ingest")) as connection:
        assert _hold(connection) == held
        later = _next(database)
        connection.execute("SELECT vv.decide_under(%s)", [later])
        connection.commit()
        for wrong in (held, later + 1):
            _hold(connection)
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
                connection.execute("SELECT vv.decide_under(%s)", [wrong])
            connection.rollback()
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            connection.execute("SELECT vv.decide_under(%s)", [later])
        connection.rollback()

    assert database.fetch(_FLUSHES) == [(later,)]


def test_ids_of_another_server_do_not_stop_a_flush(database: Database) -> None:
    """After a restore, flushes with repeated transaction ids overwrite the old records."""
    epoch = sow(database, Seed())
    database.execute(
        "INSERT INTO vv.flushes SELECT (pg_current_xact_id()::text::bigint + n)::text::xid8, -1"
        " FROM generate_series(0, 50) n"
    )
    with psycopg.connect(database.dsn("vv_ingest")) as connection:
        assert _hold(connection) == epoch
        connection.commit()

    assert (epoch,) in database.fetch(_FLUSHES)


def test_erasure_takes_the_periods(office: Office) -> None:
    """An erasure deletes all periods of the person, and none of other people."""
    subject, agent = measured(office)
    other = office.add_subject("Bob Canary")
    office.accept(other, agent, "--quantities", "heart_rate", binding="C0:FF:EE:00:00:02")
    office.run("pseudonym", "rotate", "--purpose", "home-monitoring")
    office.withdraw(subject)
    count = "SELECT count(*), count(DISTINCT handle) FROM vv.permission_periods"
    before = office.telemetry.fetch(count)

    office.run("erase", subject, "--scope", "all", "--yes")

    ((rows, handles),) = office.telemetry.fetch(count)
    assert before[0][1] == 2
    assert handles == 1
    assert rows == 2, "permitted, and moved to the new epoch"
    counted = office.vault.fetch(
        "SELECT position('\"permission_periods\":8' IN convert_from(detail, 'UTF8')) > 0"
        " FROM vault.erasure_steps WHERE step = 'names'"
    )
    assert counted == [(True,)], "and it is certified how many there were"


def test_periods_are_kept_as_long_as_readings(database: Database) -> None:
    """Periods that ended before the retention time are pruned; those in force remain."""
    second = Seed(
        handle=bytes(16), pseudonym=bytes(16), rules=(Rule(Code.HEART_RATE),), agent=_AGENT
    )
    sow(database, Seed(), second)
    with change(database) as (connection, epoch):
        connection.execute(
            "UPDATE vv.permissions SET step = 3, changed_epoch = %s WHERE handle = %s",
            [epoch, second.handle],
        )
    withdraw(database, Seed().handle)
    database.execute("UPDATE vv.permission_periods SET recorded_at = now() - interval '3 days'")
    prune = "SELECT vv.prune_periods(%s, clock_timestamp() - %s::interval)"

    with psycopg.connect(database.dsn("vv_trust"), autocommit=True) as connection:
        kept = connection.execute(prune, ["test", "4 days"]).fetchone()
        others = connection.execute(prune, ["another", "2 days"]).fetchone()
        pruned = connection.execute(prune, ["test", "2 days"]).fetchone()

    assert (kept, others, pruned) == ((0,), (0,), (3,))
    left = database.fetch("SELECT handle, step, state FROM vv.permission_periods")
    assert left == [(second.handle, 3, "permitted")]


def _before_periods(steps: Sequence[migrations.Migration]) -> list[migrations.Migration]:
    (number,) = (n for n, s in enumerate(steps) if s.path.name.endswith("permission_periods.sql"))
    return list(steps[:number])


def test_what_was_there_before_has_periods(postgres: Postgres) -> None:
    """The migration records the permissions in force and withdrawn as periods."""
    name = "before_periods"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    database = Database(postgres, name, "native")
    steps = telemetry_steps(variant="native")
    with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        migrations.apply(connection, _before_periods(steps))
        for role in ("vv_ingest", "vv_trust"):
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(postgres.password)
                )
            )
        sow(database, Seed(), Seed(handle=bytes(16), pseudonym=bytes(16)))
        withdraw(database, bytes(16))
        migrations.apply(connection, steps)

    rows = database.fetch(
        "SELECT handle, state, epoch, recorded_at > '-infinity', transaction IS NULL"
        " FROM vv.permission_periods ORDER BY position"
    )

    assert rows == [
        (bytes(16), "permitted", 0, False, True),
        (Seed().handle, "permitted", 1, False, True),
        (bytes(16), "withdrawn", 2, True, True),
    ]
    withdraw(database, Seed().handle)
    last = database.fetch(
        "SELECT state, epoch FROM vv.permission_periods ORDER BY position DESC LIMIT 1"
    )
    assert last == [("withdrawn", 3)]


def test_ingest_knows_until_when_a_certificate_is_valid(office: Office) -> None:
    """
    Ingest knows until when an agent's last certificate is valid, with a tolerance for
    two clocks.
    """
    agent, _ = office.enrol()
    apart = """
SELECT (SELECT expires_at FROM vv.agents) - %s::timestamptz
"""
    ends = "SELECT max(not_after) FROM vault.certificates"
    first = office.vault.fetch(ends)[0][0]
    assert office.telemetry.fetch(apart, first) == [(dt.timedelta(minutes=5),)]

    office.vault.execute("UPDATE vault.certificates SET not_after = not_after + interval '9 days'")
    office.run("pki", "issue-agent", agent, "--out", str(office.folder / "again"))

    second = office.vault.fetch(ends)[0][0]
    assert second != first
    assert office.telemetry.fetch(apart, second) == [(dt.timedelta(minutes=5),)]

"""Concurrent commands and lost connections: nothing is written twice or forgotten."""

import datetime as dt
import threading
import time
from uuid import UUID

import msgspec
import psycopg
import pytest

from tests.fixtures.vault import Office, Refusal
from trust.decisions.permissions import Permission
from trust.domain.pseudonyms import Pseudonym
from trust.telemetry.permissions import Change

pytestmark = pytest.mark.database


PERMISSIONS = """
SELECT p.handle, q.quantity, p.agent, p.withdrawn_at IS NOT NULL, p.step, p.interval_ms,
       p.time_step_ms FROM vv.permissions p JOIN vv.series q USING (series_id)
ORDER BY p.handle, q.quantity
"""


def _permission(*, valid_to: dt.datetime | None) -> Permission:
    return Permission(
        handle=bytes(16),
        quantity=1,
        pseudonym=Pseudonym(bytes(16)),
        purpose="home-monitoring",
        valid_from=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        valid_to=valid_to,
        step=1,
        interval_ms=1000,
        time_step_ms=1,
    )


def test_withdrawn_row_is_never_written_again(office: Office) -> None:
    """
    The row of a withdrawn handle never changes, even if the handle is permitted again by
    mistake.
    """
    agent, _ = office.enrol()
    permission = _permission(valid_to=None)
    permitted = Change(agent, "sealed", None, [permission], None, 0)
    later = msgspec.structs.replace(permission, valid_from=dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    office.app.telemetry.write([permitted])
    office.app.telemetry.write([msgspec.structs.replace(permitted, permissions=[])])
    withdrawn = office.telemetry.fetch("SELECT xmin::text, * FROM vv.permissions")

    office.app.telemetry.write([msgspec.structs.replace(permitted, permissions=[later])])

    assert office.telemetry.fetch("SELECT xmin::text, * FROM vv.permissions") == withdrawn


def test_concurrent_decisions_of_one_person_queue(office: Office) -> None:
    """Concurrent decisions of one person at several gateways are all recorded, in one chain."""
    office.load_policy()
    subject = office.add_subject()
    agents = [office.enrol()[0] for _ in range(6)]
    others = [
        Office(office.settings, office.folder, office.vault, office.telemetry) for _ in agents
    ]
    failures: list[Exception] = []

    def accept(other: Office, agent: str) -> None:
        try:
            other.accept(subject, agent)
        except Refusal as exc:
            failures.append(exc)

    threads = [
        threading.Thread(target=accept, args=pair) for pair in zip(others, agents, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.app.close()

    assert failures == []
    with office.app.vault.transaction() as records:
        assert len(records.decisions.chain(UUID(subject), "home-monitoring")) == 6


def test_concurrent_changes_lose_nothing(office: Office) -> None:
    """Concurrent consents and withdrawals of many people at shared gateways all take effect."""
    office.load_policy()
    agents = [office.enrol() for _ in range(2)]
    people = [office.add_subject() for _ in range(12)]
    failures: list[Exception] = []

    def live(number: int, other: Office) -> None:
        try:
            for agent, _ in agents:
                other.accept(people[number], agent, binding=f"C0:FF:EE:00:00:{number:02X}")
            if number % 2:
                other.withdraw(people[number])
        except Exception as exc:  # noqa: BLE001 - told to the test below
            failures.append(exc)

    others = [
        Office(office.settings, office.folder, office.vault, office.telemetry) for _ in people
    ]
    threads = [
        threading.Thread(target=live, args=(number, other)) for number, other in enumerate(others)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.app.close()

    assert failures == []
    assert [len(office.lease(*agent).grants) for agent in agents] == [6, 6]
    assert office.telemetry.fetch(
        "SELECT count(DISTINCT handle) FROM vv.permissions WHERE withdrawn_at IS NULL"
    ) == [(12,)]
    assert office.vault.fetch("SELECT count(*) FROM vault.agents WHERE applied < wanted") == [(0,)]


CLOSED = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at = 'infinity'"
WITHDRAWN = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at < 'infinity'"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE usename = 'vv_trust' AND state = 'active' AND position('await_storing' in query) > 0
"""


def _until(office: Office, query: str, count: int) -> None:
    deadline = time.monotonic() + 20
    while office.telemetry.fetch(query) != [(count,)]:
        assert time.monotonic() < deadline, query
        time.sleep(0.01)


def test_withdrawal_waits_for_a_commit_under_way(office: Office) -> None:
    """A withdrawal's COMMIT waits for a transaction of observations that began before."""
    office.load_policy()
    subject = office.add_subject()
    agent, _ = office.enrol()
    office.accept(subject, agent)
    withdrawing = threading.Thread(target=office.withdraw, args=(subject,))
    with psycopg.connect(office.telemetry.dsn("vv_ingest")) as ingest:
        ingest.execute("SELECT vv.hold_permissions()")
        withdrawing.start()
        _until(office, WAITING, 1)

        assert office.telemetry.fetch(WITHDRAWN) == [(0,)]
    withdrawing.join(20)

    assert not withdrawing.is_alive()
    assert office.telemetry.fetch(CLOSED) == [(0,)]
    assert office.telemetry.fetch(
        "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
    ) == [(0,)]


def test_nobody_waits_for_a_withdrawal(office: Office) -> None:
    """While a withdrawal waits, other flushes can begin, see the closed permission, and end."""
    office.load_policy()
    subject = office.add_subject()
    agent, _ = office.enrol()
    office.accept(subject, agent)
    permitted = office.telemetry.fetch("SELECT count(*) FROM vv.permissions")
    withdrawing = threading.Thread(target=office.withdraw, args=(subject,))
    with psycopg.connect(office.telemetry.dsn("vv_ingest")) as before:
        before.execute("SELECT vv.hold_permissions()")
        withdrawing.start()
        _until(office, WAITING, 1)

        for _ in range(20):
            with psycopg.connect(office.telemetry.dsn("vv_ingest")) as later:
                later.execute("SET lock_timeout = '100ms'")
                later.execute("SELECT vv.hold_permissions()")
                closed = later.execute(
                    "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NOT NULL"
                )
                assert closed.fetchall() == permitted
        assert withdrawing.is_alive()
    withdrawing.join(20)

    assert office.telemetry.fetch(WITHDRAWN) == permitted


def test_withdrawal_cut_off_while_it_waits_waits_again(office: Office) -> None:
    """
    If a withdrawal is interrupted while it waits, a later one completes it, not before the flush
    ends.
    """
    office.load_policy()
    subject = office.add_subject()
    agent, _ = office.enrol()
    office.accept(subject, agent)
    refused: list[Refusal] = []

    def withdraw() -> None:
        try:
            office.withdraw(subject)
        except Refusal as exc:
            refused.append(exc)

    withdrawing = threading.Thread(target=withdraw)
    with psycopg.connect(office.telemetry.dsn("vv_ingest")) as ingest:
        ingest.execute("SELECT vv.hold_permissions()")
        withdrawing.start()
        _until(office, WAITING, 1)
        office.telemetry.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'vv_trust' AND position('await_storing' in query) > 0"
        )
        withdrawing.join(20)
        assert len(refused) == 1
        again = threading.Thread(target=office.app.reconciler.reconcile, args=([agent],))
        again.start()
        _until(office, WAITING, 1)

        assert office.telemetry.fetch(WITHDRAWN) == [(0,)]
    again.join(20)

    assert not again.is_alive()
    assert office.telemetry.fetch(CLOSED) == [(0,)]
    assert office.telemetry.fetch(
        "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
    ) == [(0,)]


@pytest.mark.parametrize("is_revoked", [True, False])
def test_what_cannot_be_closed_excludes_who_stores(office: Office, *, is_revoked: bool) -> None:
    """
    Revoking a gateway and shortening a validity wait for running flushes, and block new
    ones.
    """
    agent, _ = office.enrol()
    permission = _permission(valid_to=None)
    office.app.telemetry.write([Change(agent, "sealed", None, [permission], None, 0)])
    end = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    change = Change(
        agent,
        "sealed",
        end if is_revoked else None,
        [permission if is_revoked else _permission(valid_to=end)],
        None,
        0,
    )
    writing = threading.Thread(target=office.app.telemetry.write, args=([change],))
    with psycopg.connect(office.telemetry.dsn("vv_ingest")) as ingest:
        ingest.execute("SELECT vv.hold_permissions()")
        writing.start()
        _until(
            office,
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
            " AND relation = 'vv.permission_gate'::regclass",
            1,
        )

        with psycopg.connect(office.telemetry.dsn("vv_ingest")) as later:
            later.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                later.execute("SELECT vv.hold_permissions()")
    writing.join(20)

    assert not writing.is_alive()


def test_lost_connections_are_opened_again(office: Office) -> None:
    """After a restart of the server the next command opens a new connection and succeeds."""
    office.load_policy()
    subject = office.add_subject()
    agent, _ = office.enrol()
    office.accept(subject, agent)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vv_trust'"
    assert len(office.telemetry.fetch(cut)) == 2

    assert office.withdraw(subject)["withdrawn_at"]

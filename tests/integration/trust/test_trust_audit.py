"""
A decision that was deleted from the vault is noticed, although all remaining ones are validly
signed.
"""

import asyncio
import contextlib
from uuid import UUID

import psycopg
import pytest

from tests.fixtures.vault import Office, measured
from trust.composition import now
from trust.errors import Tampered
from trust.integrity.witness import Witness
from trust.maintenance import database_jobs
from trust.maintenance.database_jobs import Maintenance
from trust.maintenance.jobs import Jobs

pytestmark = pytest.mark.database

_NEWEST = """
DELETE FROM vault.decisions WHERE position = (SELECT max(position) FROM vault.decisions)
"""
_REVIVE = "UPDATE vault.handles SET ended_at = NULL"
_REMEMBERED = "SELECT count(*) FROM vv.witnesses WHERE kind = 'decision'"
_IN_FORCE = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"


def _take_back(office: Office) -> None:
    """Delete the newest decision, as an attacker with write access to the vault can."""
    office.vault.execute(_NEWEST)
    office.vault.execute(_REVIVE)


def test_a_withdrawal_that_was_taken_back_is_missed(office: Office) -> None:
    """
    The audit names the subject of a deleted withdrawal, and leases continue without that
    person.
    """
    subject, agent = measured(office)
    office.withdraw(subject)
    assert office.run("audit")["problems"] == 0
    _take_back(office)

    found = office.run("audit")

    assert (found["problems"], found["missing"]) == (1, 1)
    assert found["rows"] == [
        {
            "subject": subject,
            "purpose": "home-monitoring",
            "problem": "missing",
            "decisions": 1,
        }
    ]
    office.run("lease", "publish", "--renew", agent)
    assert office.telemetry.fetch(_IN_FORCE) == [(0,)]


def test_who_is_cut_off_is_not_measured_and_others_are(office: Office) -> None:
    """
    At a gateway with two people, the one with a shortened chain leaves the lease and the other
    stays.
    """
    office.load_policy()
    agent, bundle = office.enrol()
    ada, bo = office.add_subject(), office.add_subject("Bo")
    office.accept(ada, agent)
    office.accept(bo, agent, binding="C0:FF:EE:00:00:02")
    kept = office.accept(ada, agent)["handle"]
    other = office.vault.fetch("SELECT encode(handle, 'hex') FROM vault.handles"
                               " WHERE subject = %s", bo)  # fmt: skip
    office.run("audit")
    # The second decision is deleted, and the first handle is made live again.
    office.vault.execute("DELETE FROM vault.handles WHERE handle = decode(%s, 'hex')", kept)
    _take_back(office)

    office.run("lease", "publish", "--renew", agent)

    grants = office.lease(agent, bundle).grants
    assert [grant.handle.hex() for grant in grants] == [name for (name,) in other]


def test_what_was_entered_again_counts(office: Office) -> None:
    """A decision that was lost by a restore and entered again is not reported as missing."""
    subject, agent = measured(office)
    office.withdraw(subject)
    office.run("audit")
    _take_back(office)

    office.withdraw(subject)

    assert office.run("audit")["problems"] == 0
    office.accept(subject, agent)
    assert office.telemetry.fetch(_IN_FORCE) == [(2 * 2,)]


def test_whole_chains_and_people_are_missed(office: Office) -> None:
    """
    A person without any remaining decision is named; people who are gone completely are
    counted.
    """
    subject, _ = measured(office)
    gone = office.add_subject("Bo")
    for one in (subject, gone):
        office.run("decision", "record", "--subject", one, "--purpose", "home-monitoring@1",
                   "--state", "refused")  # fmt: skip
    assert office.run("audit")["decisions"] == 3
    office.vault.execute("DELETE FROM vault.handles")
    office.vault.execute("DELETE FROM vault.decisions")
    office.vault.execute("DELETE FROM vault.subjects WHERE subject = %s", gone)

    found = office.run("audit")

    assert (found["missing"], found["decisions"]) == (3, 0)
    assert [(row["subject"], row["decisions"]) for row in found["rows"]] == [(subject, 2)]


def test_a_restriction_that_was_taken_back_is_kept(office: Office) -> None:
    """
    Data that were restricted twice and have only one restriction left after a restore stay
    restricted.
    """
    subject, _ = measured(office)
    for command in ("restrict", "unrestrict", "restrict"):
        office.run(command, subject)
    office.run("audit")
    _take_back(office)
    office.telemetry.execute("UPDATE vv.permission_gate SET cleared_at = '2020-01-01'")

    office.app.restore_guard.clear()

    assert office.telemetry.fetch("SELECT bool_and(restricted_at IS NOT NULL) FROM vv.series") == [
        (True,)
    ]


def test_a_changed_record_is_named(office: Office) -> None:
    """The audit names subjects whose decisions do not verify, and policies that do not."""
    subject, _ = measured(office)
    office.vault.execute("UPDATE vault.decisions SET signature = ''")

    found = office.run("audit")

    assert [(row["subject"], row["problem"]) for row in found["rows"]] == [
        (subject, "does not verify")
    ]
    with office.app.vault.transaction() as records, pytest.raises(Tampered):
        records.decisions.chain(UUID(subject), "home-monitoring")


def test_a_witness_says_nothing_without_the_key(office: Office) -> None:
    """
    Without the key, a reader of the telemetry database can neither relate a witness to a person
    nor forge one.
    """
    subject, _ = measured(office)
    office.run("audit")
    chain = (UUID(subject), "home-monitoring")

    stranger = Witness(office.app.telemetry.link, bytes(32))

    assert stranger.cut({chain: 0}) == set()
    assert office.telemetry.fetch(_REMEMBERED) == [(1,)]
    assert stranger.missing(chain, 0) == 0
    assert office.app.audit.look().missing == 0


def test_the_clock_has_decisions_remembered(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon records new decisions each round, and reports missing ones at the next check."""
    for name, value in (("_ROUND_S", 0.05), ("_ROUNDS_A_DAY", 1), ("_FIRST_AUDIT", 0)):
        monkeypatch.setattr(database_jobs, name, value)
    subject, _ = measured(office)
    office.withdraw(subject)
    told: list[int] = []
    app = office.app
    working = Maintenance(
        app.stores,
        app.retainer,
        app.audit,
        Jobs(app.vault, count=lambda failures: None),
        clock=now,
        done=lambda what: None,
        missing=told.append,
    )

    async def work_until(missing: int) -> None:
        task = asyncio.create_task(working.run())
        told.clear()
        while told[-1:] != [missing]:
            assert not task.done()
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(work_until(0), timeout=60))
    assert office.telemetry.fetch(_REMEMBERED) == [(2,)]
    _take_back(office)
    asyncio.run(asyncio.wait_for(work_until(1), timeout=60))


def test_late_commits_are_remembered(office: Office) -> None:
    """A decision that commits after one with a higher position is recorded as well."""
    measured(office)
    late = office.add_subject("Bo")
    with psycopg.connect(office.vault.dsn()) as connection:
        connection.execute(
            "INSERT INTO vault.decisions"
            " (decision, subject, purpose, version, document, key_id, signature)"
            " SELECT gen_random_uuid(), %s, purpose, version, document, key_id, signature"
            " FROM vault.decisions",
            [late],
        )
        office.accept(office.add_subject("Cy"), office.enrol()[0])
        office.app.audit.note()
        assert office.telemetry.fetch(_REMEMBERED) == [(2,)]

    office.app.audit.note()

    assert office.telemetry.fetch(_REMEMBERED) == [(3,)]

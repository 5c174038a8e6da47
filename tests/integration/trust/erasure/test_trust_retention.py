"""Restriction and retention, with a real vault and a real telemetry database."""

import datetime as dt

import pytest

from tests.fixtures.vault import Office, Refusal

pytestmark = pytest.mark.database

_SERIES = "SELECT count(*) FROM vv.series WHERE restricted_at IS NOT NULL"
_IN_FORCE = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"


def state_of(office: Office, subject: str) -> str:
    """Return the state of the newest decision of *subject*."""
    rows = office.vault.fetch(
        "SELECT convert_from(document, 'UTF8')::json ->> 'state' FROM vault.decisions"
        " WHERE subject = %s ORDER BY position DESC LIMIT 1",
        subject,
    )
    return str(rows[0][0])


def test_restriction_keeps_and_stops(office: Office) -> None:
    """
    After a restriction no further data are stored, stored data remain, and no view
    counts them.
    """
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    office.accept(subject, agent)

    restricted = office.run("restrict", subject)

    assert len(restricted["decisions"]) == 1
    assert state_of(office, subject) == "restricted"
    assert office.telemetry.fetch(_IN_FORCE) == [(0,)]
    assert office.telemetry.fetch(_SERIES) == [(restricted["series"],)] == [(4,)]
    assert office.run("restrict", subject)["decisions"] == []


def test_lifting_lets_it_count_again(office: Office) -> None:
    """
    After the end of a restriction all series count again; the old handle stays ended, and a new
    decision gives another.
    """
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    handle = office.accept(subject, agent)["handle"]
    office.run("restrict", subject)

    office.run("unrestrict", subject)

    assert state_of(office, subject) == "accepted"
    assert office.telemetry.fetch(_SERIES) == [(0,)]
    assert office.telemetry.fetch(_IN_FORCE) == [(0,)]
    assert office.accept(subject, agent)["handle"] != handle
    assert office.telemetry.fetch(_IN_FORCE) == [(4,)]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(["--agent", "AGENT", "--binding", "C0:FF:EE:00:00:07"], id="accepted"),
        pytest.param(["--state", "refused"], id="refused"),
        pytest.param(["--state", "invalidated"], id="invalidated"),
    ],
)
def test_nothing_is_decided_while_restricted(office: Office, more: list[str]) -> None:
    """While processing is restricted, every new decision is refused with a remedy."""
    office.load_policy()
    subject, (agent, bundle) = office.add_subject(), office.enrol()
    office.accept(subject, agent)
    office.run("restrict", subject)
    chosen = [agent if word == "AGENT" else word for word in more]

    with pytest.raises(Refusal, match=r"restricted.*unrestrict"):
        office.run(
            "decision", "record", "--subject", subject, "--purpose", "home-monitoring@1", *chosen
        )

    assert office.telemetry.fetch(_IN_FORCE) == [(0,)]
    assert office.lease(agent, bundle).grants == []


def test_withdrawing_is_never_refused(office: Office) -> None:
    """
    A withdrawal is accepted during a restriction, and takes effect when the restriction
    is lifted.
    """
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    office.accept(subject, agent)
    office.run("restrict", subject)

    office.withdraw(subject)

    assert state_of(office, subject) == "restricted"
    assert office.telemetry.fetch(_SERIES) == [(4,)]
    with pytest.raises(Refusal, match="no accepted decision"):
        office.withdraw(subject)
    with pytest.raises(Refusal, match="restricted"):
        office.accept(subject, agent)
    office.run("unrestrict", subject)
    assert state_of(office, subject) == "withdrawn"
    assert office.telemetry.fetch(_SERIES) == [(0,)]


def test_what_was_withdrawn_can_be_restricted(office: Office) -> None:
    """Stored data of a person who has withdrawn can be restricted, and stay restricted."""
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    office.accept(subject, agent)
    office.withdraw(subject)

    office.run("restrict", subject)

    assert office.telemetry.fetch(_SERIES) == [(4,)]
    with pytest.raises(Refusal, match="restricted"):
        office.accept(subject, agent)


def test_restricting_nobody_is_refused(office: Office) -> None:
    """A subject without decisions cannot be restricted."""
    office.load_policy()
    with pytest.raises(Refusal, match="decided nothing"):
        office.run("restrict", office.add_subject())


def test_retention_takes_rows_and_aggregates_each_in_their_time(office: Office) -> None:
    """
    After raw_days rows are deleted and their aggregates kept; after aggregate_days these are
    deleted.
    """
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    office.accept(subject, agent)
    database = office.telemetry
    now = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    raw_days, aggregate_days = _retention(office)
    ages = (1, raw_days + 1, aggregate_days + 1)
    for age in ages:
        day = now - dt.timedelta(days=age)
        database.execute("SELECT vv.ensure_partitions(%s, %s)", day.date(), day.date())
        database.execute(
            "INSERT INTO vv.observations SELECT %s, series_id, 80, 0 FROM vv.series", day
        )
    _aggregate(office)

    office.run("retention", "run")

    assert database.fetch("SELECT DISTINCT time FROM vv.observations") == [
        (now - dt.timedelta(days=1),)
    ]
    kept = [(now - dt.timedelta(days=age)).date() for age in (raw_days + 1, 1)]
    assert database.fetch(
        "SELECT DISTINCT (bucket AT TIME ZONE 'UTC')::date AS day FROM vv.aggregates_1d"
        " ORDER BY day"
    ) == [(day,) for day in kept]


def _retention(office: Office) -> tuple[int, int]:
    rows = office.vault.fetch(
        "SELECT convert_from(document, 'UTF8')::json -> 'retention' ->> 'raw_days',"
        " convert_from(document, 'UTF8')::json -> 'retention' ->> 'aggregate_days'"
        " FROM vault.purposes"
    )
    return int(str(rows[0][0])), int(str(rows[0][1]))


def _aggregate(office: Office) -> None:
    if office.telemetry.variant == "timescale":
        for width in ("1m", "1h", "1d"):
            office.telemetry.execute(
                f"CALL refresh_continuous_aggregate('vv.aggregates_{width}', NULL, NULL)"
            )
    else:
        office.telemetry.execute("SELECT pg_stat_force_next_flush()")
        office.telemetry.execute("SELECT vv.roll_up(now())")


def test_leases_are_kept_as_long_as_anything_can_be_stored_under_them(office: Office) -> None:
    """
    A lease that ended long ago is deleted; one that ended lately and an agent's newest
    are kept.
    """
    office.load_policy()
    agent, still = office.enrol()[0], office.enrol()[0]
    for number, one in enumerate((agent, still)):
        office.accept(office.add_subject(), one, binding=f"C0:FF:EE:00:00:0{number}")
    for one, version, days in ((agent, 2, 59), (agent, 3, 0), (still, 2, 90)):
        office.telemetry.execute(
            "INSERT INTO vv.leases SELECT agent, %s, issued_at, now() - make_interval(days => %s),"
            " changed_epoch FROM vv.leases WHERE agent = %s AND version = 1",
            version, days, one,
        )  # fmt: skip
    office.telemetry.execute(
        "UPDATE vv.leases SET not_after = now() - interval '61 days' WHERE version = 1"
    )

    assert office.run("retention", "run")["leases"] == 2

    left = "SELECT version FROM vv.leases WHERE agent = %s ORDER BY version"
    assert office.telemetry.fetch(left, agent) == [(2,), (3,)]
    assert office.telemetry.fetch(left, still) == [(2,)], "its newest, though it ended long ago"
    office.run("lease", "publish", "--renew", still)
    assert office.telemetry.fetch(left, still) == [(2,), (3,)]

"""After an erasure the person is unknown; and nothing is certified that was never decided."""

from pathlib import Path

import pytest

from tests.fixtures.vault import Office, Refusal, measured

pytestmark = pytest.mark.database


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("subject", "show", "{subject}"), id="show"),
        pytest.param(("subject", "rectify", "{subject}", "--name", "Bo"), id="rectify"),
        pytest.param(("receipt", "{subject}", "--out", "{folder}/receipt"), id="receipt"),
        pytest.param(
            (
                "representative",
                "add",
                "--subject",
                "{subject}",
                "--name",
                "Bo",
                "--role",
                "proxy",
                "--shown-by",
                "mandate",
                "--purposes",
                "all",
            ),
            id="representative",
        ),
    ],
)
def test_who_was_erased_is_not_taken_for_tampered(
    office: Office, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """An erased subject is reported as unknown, and not as tampered."""
    subject, _ = measured(office)
    office.run("erase", subject, "--scope", "all", "--yes")

    with pytest.raises(Refusal, match="no such subject"):
        office.run(*(word.format(subject=subject, folder=tmp_path) for word in words))


def test_a_purpose_that_was_never_decided_on_is_not_erased(office: Office) -> None:
    """
    An erasure of a purpose that was never decided on is refused, so that a typing error gives no
    certificate.
    """
    subject, _ = measured(office)

    with pytest.raises(Refusal, match="decided nothing for that purpose"):
        office.run("erase", subject, "--scope", "home-monitorin", "--yes")

    assert office.vault.fetch("SELECT count(*) FROM vault.erasures") == [(0,)]
    assert office.run("erase", subject, "--scope", "home-monitoring@1", "--yes")["number"] == 1


def test_a_restriction_outlives_a_restore(office: Office) -> None:
    """A restored telemetry database remains closed until restricted data are excluded again."""
    subject, _ = measured(office)
    restricted = "SELECT DISTINCT restricted_at IS NOT NULL FROM vv.series"

    for command, is_restricted in (("restrict", True), ("unrestrict", False)):
        office.run(command, subject)
        assert office.telemetry.fetch(restricted) == [(is_restricted,)]
        # The state in a backup from before the restriction.
        office.telemetry.execute(
            "UPDATE vv.series SET restricted_at = CASE WHEN %s THEN NULL ELSE now() END",
            is_restricted,
        )
        office.telemetry.execute("UPDATE vv.permission_gate SET cleared_at = '2020-01-01'")

        office.app.reconciler.check()

        assert office.telemetry.fetch(restricted) == [(is_restricted,)]
        assert office.telemetry.fetch("SELECT vv.is_cleared()") == [(True,)]


def test_a_restriction_that_does_not_verify_is_kept(office: Office) -> None:
    """
    Data of a restriction that does not verify remain excluded, and the database is cleared for
    everyone else.
    """
    subject, _ = measured(office)
    office.run("restrict", subject)
    office.run("unrestrict", subject)
    office.vault.execute("UPDATE vault.decisions SET signature = ''")
    office.telemetry.execute("UPDATE vv.permission_gate SET cleared_at = '2020-01-01'")

    office.app.restore_guard.clear()

    assert office.telemetry.fetch("SELECT vv.is_cleared()") == [(True,)]
    assert office.telemetry.fetch("SELECT bool_and(restricted_at IS NOT NULL) FROM vv.series") == [
        (True,)
    ]


def test_the_last_person_is_erased_from_the_statistics(office: Office) -> None:
    """
    After the last person of a table is erased, the planner's statistics hold no pseudonym or
    handle.
    """
    subject, _ = measured(office)
    for database in (office.telemetry, office.vault):
        database.execute("ANALYZE")
    remembered = (
        "SELECT tablename, attname FROM pg_stats WHERE attname IN ('pseudonym', 'handle')"
        " AND (histogram_bounds IS NOT NULL OR most_common_vals IS NOT NULL)"
    )
    assert office.telemetry.fetch(remembered) != []

    office.run("erase", subject, "--scope", "all", "--yes")

    assert office.telemetry.fetch(remembered) == []
    assert office.vault.fetch(remembered) == []

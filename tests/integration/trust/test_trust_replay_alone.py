"""After a restore, an erasure that cannot be repeated affects only its own person."""

import psycopg
import pytest

from tests.fixtures.vault import Office, Refusal

pytestmark = pytest.mark.database

TABLES = ("series", "permissions")


class Restored:
    """One of two people was erased, and their data are in the telemetry database again."""

    def __init__(self, office: Office) -> None:
        self.office = office
        office.load_policy()
        self.agent, _ = office.enrol()
        self.subject, self.other = office.add_subject(), office.add_subject("Bo Other")
        office.accept(self.subject, self.agent)
        self.series = [n for (n,) in office.telemetry.fetch("SELECT series_id FROM vv.series")]
        for table in TABLES:
            self._telemetry(f"CREATE TABLE public.{table} AS SELECT * FROM vv.{table}")  # noqa: S608
        office.accept(self.other, self.agent, binding="C0:FF:EE:00:00:02")

    def _telemetry(self, *statements: str) -> None:
        with psycopg.connect(self.office.telemetry.dsn(), autocommit=True) as connection:
            connection.execute("SET session_replication_role = 'replica'")
            for statement in statements:
                connection.execute(statement.encode())

    def vault(self, *statements: str) -> None:
        """Change the vault as a superuser."""
        for statement in statements:
            self.office.vault.execute(
                "SET session_replication_role = 'replica'; "
                + statement.format(subject=self.subject)
            )

    def erase(self, scope: str = "all") -> None:
        """Erase the first person."""
        self.office.run("erase", self.subject, "--scope", scope, "--yes")

    def restore(self) -> None:
        """Put back the erased rows, as a restored database has them, and close the database."""
        for table in TABLES:
            override = "OVERRIDING SYSTEM VALUE" if table == "series" else ""
            self._telemetry(
                f"INSERT INTO vv.{table} {override} SELECT * FROM public.{table}"  # noqa: S608
            )
        self._telemetry("UPDATE vv.permission_gate SET cleared_at = '2020-01-01'")

    def forget_newer(self) -> None:
        """Remove later consents from telemetry, as in an older backup."""
        self._telemetry(
            "DELETE FROM vv.permissions p USING vv.series s WHERE p.series_id = s.series_id"
            " AND s.pseudonym IN (SELECT pseudonym FROM public.series)",
            "DELETE FROM vv.series WHERE pseudonym IN (SELECT pseudonym FROM public.series)",
            "DELETE FROM vv.leases",
        )

    def refuse(self) -> None:
        """Make the database refuse to delete the series of the first person."""
        self.office.telemetry.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'damaged'; END $$;"
            " CREATE TRIGGER refuse BEFORE DELETE ON vv.series FOR EACH ROW"
            f" WHEN (OLD.series_id = {self.series[0]}) EXECUTE FUNCTION public.refuse()"
        )

    def repair(self) -> None:
        """Allow the deletion again."""
        self.office.telemetry.execute("DROP TRIGGER refuse ON vv.series")

    def is_cleared(self) -> bool:
        """Tell whether ingest may store."""
        return self.office.telemetry.fetch("SELECT vv.is_cleared()") == [(True,)]

    def open(self) -> tuple[object, object]:
        """
        Return how many permissions are open for the first person's series, and for all
        others.
        """
        ((hers, others),) = self.office.telemetry.fetch(
            "SELECT count(*) FILTER (WHERE series_id = ANY(%s)),"
            " count(*) FILTER (WHERE series_id <> ALL(%s))"
            " FROM vv.permissions WHERE withdrawn_at IS NULL",
            self.series,
            self.series,
        )
        return hers, others

    def shown(self) -> tuple[object, object]:
        """Return how many series are in views: the first person's, and all others."""
        ((hers, others),) = self.office.telemetry.fetch(
            "SELECT count(*) FILTER (WHERE series_id = ANY(%s)),"
            " count(*) FILTER (WHERE series_id <> ALL(%s))"
            " FROM vv.series WHERE restricted_at IS NULL",
            self.series,
            self.series,
        )
        return hers, others

    def set_aside(self) -> list[object]:
        """Return the people who are set aside."""
        return [
            unit
            for (unit,) in self.office.vault.fetch(
                "SELECT unit FROM vault.set_aside WHERE work = 'job' AND kind = 'person'"
            )
        ]


@pytest.fixture
def restored(office: Office) -> Restored:
    """Two people."""
    return Restored(office)


def test_one_that_cannot_be_erased_again_is_shut_and_all_others_open(restored: Restored) -> None:
    """
    If an erasure cannot be repeated, nothing of that person is stored or shown, and it is repeated
    once possible.
    """
    restored.erase()
    restored.restore()
    restored.refuse()
    assert restored.open() == (4, 4)

    restored.office.app.restore_guard.clear()

    assert restored.is_cleared()
    assert restored.open() == (0, 4)
    assert restored.shown() == (0, 4)
    assert restored.set_aside() == [restored.subject]
    assert restored.subject in str(restored.office.run("unit", "list"))
    with pytest.raises(Refusal, match="names"):
        restored.office.run("erase", "verify", "1")

    restored.repair()
    assert restored.office.app.verifier.run().erased_again == [1]
    assert restored.set_aside() == []
    assert restored.office.telemetry.fetch("SELECT count(*) FROM vv.series") == [(4,)]


def test_who_agreed_again_waits_until_the_erasure_is_done_again(restored: Restored) -> None:
    """
    A new consent of that person is not stored under the old series until the erasure is
    repeated.
    """
    restored.erase("home-monitoring")
    restored.office.accept(restored.subject, restored.agent, binding="C0:FF:EE:00:00:09")
    restored.forget_newer()
    restored.restore()
    restored.refuse()

    restored.office.app.restore_guard.clear()

    assert restored.is_cleared()
    assert restored.open() == (0, 4)

    restored.repair()
    assert restored.office.app.verifier.run().erased_again == [1]
    assert restored.open() == (0, 8)


def test_an_erasure_whose_only_record_does_not_verify_shuts_its_person_alone(
    restored: Restored,
) -> None:
    """
    If the only record of an erasure does not verify, all data of its person are closed, and no one
    else's.
    """
    restored.erase()
    restored.restore()
    restored.vault("UPDATE vault.erasure_steps SET signature = '' WHERE step = 'mark'")
    erasure = restored.office.settings.erasure
    assert erasure is not None
    assert erasure.ledger_file is not None
    erasure.ledger_file.write_bytes(b"")

    restored.office.app.restore_guard.clear()

    assert restored.is_cleared()
    assert restored.open() == (0, 4)
    assert restored.shown() == (0, 4)
    assert restored.office.app.verifier.look().tampered == [1]


def test_a_line_of_the_ledgers_file_that_the_vault_refuses_keeps_nobody_waiting(
    restored: Restored,
) -> None:
    """A line of the ledger's file that the vault refuses is still executed."""
    restored.erase()
    restored.restore()
    restored.vault(
        "DELETE FROM vault.erasure_steps; DELETE FROM vault.erasures",
        "ALTER TABLE vault.erasures ADD CHECK (subject <> '{subject}')",
    )

    restored.office.app.restore_guard.clear()

    assert restored.is_cleared()
    assert restored.open() == (0, 4)
    assert restored.office.telemetry.fetch("SELECT count(*) FROM vv.series") == [(4,)]


def test_what_can_neither_be_erased_nor_shut_keeps_the_database_closed(restored: Restored) -> None:
    """If a person's data can neither be erased nor closed, the whole database remains closed."""
    restored.erase()
    restored.restore()
    restored.refuse()
    restored.office.telemetry.execute(
        "ALTER TABLE vv.series ADD CHECK (restricted_at IS NULL) NOT VALID"
    )

    with pytest.raises(Exception, match="SQLSTATE 23514"):
        restored.office.app.restore_guard.clear()

    assert not restored.is_cleared()

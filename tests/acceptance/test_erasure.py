"""Erasure, checked in the raw files of the server: no data of the erased person remain."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database, create_database
from tests.fixtures.vault import Office, Refusal, create_vault, make_office
from tests.support.databases.residue import checkpoint, found_in, names_of, rows_of
from tests.support.ward import Ward, at, may_store

# Every file of a server is searched, while at most three other test files run.
pytestmark = [pytest.mark.database, pytest.mark.slow, pytest.mark.timeout(500)]
_IN_FORCE = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
_OF_SERIES = "SELECT series_id FROM vv.series WHERE series_id = ANY(%s)"


@pytest.fixture
def ward(office: Office) -> Ward:
    """Two people with weeks of observations."""
    return Ward(office)


def test_nothing_is_left_in_any_file(backup: "Backup") -> None:
    """No byte of a pseudonym, a handle or a row remains in a table, chunk, index or statistic."""
    # On its own server, because every file is searched and other tests leave gigabytes.
    ward = backup.ward
    needles = names_of(ward.office, ward.subject) | rows_of(ward.telemetry, ward.series)
    folders = [ward.telemetry.server.data]
    ward.office.vault.execute("VACUUM ANALYZE")
    checkpoint(ward.telemetry.server)
    before = found_in(folders, needles)
    others = ward.stored_of_other()

    ward.erase()
    checkpoint(ward.telemetry.server)

    assert {name.split()[0] for name in before} >= {"handle", "pseudonym", "row", "total"}
    assert at(ward.telemetry, found_in(folders, needles)) == {}
    assert ward.stored_of_other() == others
    ours = names_of(ward.office, ward.other) | rows_of(ward.telemetry, ward.others)
    assert {name.split()[0] for name in found_in(folders, ours)} == {
        name.split()[0] for name in before
    }


def test_certificate_tells_what_was_erased(ward: Ward) -> None:
    """
    The certificate counts each store and names destroyed keys and remaining data; it can be
    verified offline.
    """
    counted = {
        str(store): rows
        for store, rows in ward.telemetry.fetch(
            "SELECT store, row_count FROM vv.count_series(%s)", ward.series
        )
    }
    out = ward.office.folder / "certificate.json"

    ward.office.run("erase", ward.subject, "--scope", "all", "--yes", "--out", str(out))
    checked = ward.office.run("erase", "check", str(out))

    rows = checked["rows"]
    assert {store: rows[store] for store in counted} == counted
    assert rows["observations"] >= 4 * 8000
    assert (rows["permissions"], rows["series"], rows["quarantine"]) == (4, 4, 1)
    assert checked["handles"] == 1
    assert len(checked["keys_destroyed"]) == 1
    assert "backups" in {remains["where"] for remains in checked["remains"]}
    text = out.read_text()
    for name in names_of(ward.office, ward.other).values():
        assert name.hex() not in text
    assert ward.handle not in text

    out.write_text(text.replace('"handles": 1', '"handles": 2'))
    with pytest.raises(Refusal, match="does not verify"):
        ward.office.run("erase", "check", str(out))


def test_verify_finds_what_came_back(ward: Ward) -> None:
    """`erase verify` finds nothing after an erasure, and fails when one row has come back."""
    number = str(ward.erase()["number"])

    assert ward.office.run("erase", "verify", number)["residue"] == 0
    ward.telemetry.execute(
        "INSERT INTO vv.observations VALUES (now(), %s, 100, 0)", ward.series[0]
    )
    with pytest.raises(Refusal, match="observations"):
        ward.office.run("erase", "verify", number)


def test_identity_is_unreadable(ward: Ward) -> None:
    """
    The data key and the personal record are gone; the decisions remain under a
    meaningless id.
    """
    ward.erase()

    assert ward.office.vault.fetch(
        "SELECT wrapped_key, sealed, erased_at IS NOT NULL FROM vault.subjects WHERE subject = %s",
        ward.subject,
    ) == [(b"", b"", True)]
    with pytest.raises(Refusal, match="no such subject"):
        ward.office.accept(ward.subject, ward.agent)
    assert ward.office.vault.fetch(
        "SELECT count(*) FROM vault.decisions WHERE subject = %s", ward.subject
    ) == [(2,)]


def test_one_purpose_leaves_the_identity(ward: Ward) -> None:
    """An erasure of one purpose deletes its rows, and keeps the person for the other purposes."""
    ward.erase("home-monitoring")

    assert ward.telemetry.fetch("SELECT count(*) FROM vv.series") == [(len(ward.others),)]
    ward.office.accept(ward.subject, ward.agent)


@pytest.mark.parametrize("step", range(8))
def test_cut_off_anywhere_goes_on(ward: Ward, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An erasure that is killed after a step and before its record is completed by the same
    command.
    """
    from trust.domain.erasure_steps import STEPS, StepFacts, step_of
    from trust.vault.postgres.erasures import PostgresErasures

    class Cut(BaseException):
        pass

    record = PostgresErasures.record

    def cut(ledger: PostgresErasures, number: int, facts: StepFacts) -> None:
        if step_of(facts) == STEPS[step]:
            raise Cut
        record(ledger, number, facts)

    with monkeypatch.context() as patch:
        patch.setattr(PostgresErasures, "record", cut)
        with pytest.raises(Cut):
            ward.erase()

    certificate = ward.erase()

    assert certificate["number"] == 1
    rows = certificate["rows"]
    assert isinstance(rows, dict)
    assert rows["observations"] >= 4 * 8000
    assert ward.office.run("erase", "verify", "1")["residue"] == 0


class Backup:
    """A server with two people, and a copy of its files from before the erasure."""

    def __init__(self, ward: Ward, server: Postgres, copy: Path) -> None:
        self.ward = ward
        self._server = server
        self._copy = copy

    def make(self) -> None:
        """Copy the server's files, as a cold backup does."""
        self.ward.office.app.close()
        self._server.stop()
        shutil.copytree(self._server.data, self._copy)
        self._server.start()

    def restore(self) -> None:
        """Put the copy in the place of the server's files, and start the server."""
        self.ward.office.app.close()
        self._server.stop()
        shutil.rmtree(self._server.data)
        shutil.copytree(self._copy, self._server.data)
        for path in [self._server.data, *self._server.data.rglob("*")]:
            shutil.chown(path, user=self._server.folder.stat().st_uid)
        self._server.start()


@pytest.fixture
def backup(run_folder: Path, postgres: Postgres, tmp_path: Path) -> Iterator[Backup]:
    """A server for this test alone, with a backup."""
    folder = run_folder / f"restored-{tmp_path.name}"
    server = Postgres(folder=folder, programs=postgres.programs)
    server.start()
    office = make_office(create_vault(server, tmp_path), create_database(server), tmp_path)
    yield Backup(Ward(office), server, run_folder / f"copy-{tmp_path.name}")
    office.app.close()
    server.stop()


def test_restored_backup_is_erased_again_before_ingest_opens(backup: Backup) -> None:
    """After a restore ingest stores nothing until trust has erased the restored data again."""
    ward = backup.ward
    office = ward.office
    needles = names_of(office, ward.subject) | rows_of(ward.telemetry, ward.series)
    backup.make()
    office.run("erase", "replay")
    ward.erase()

    # Both databases are restored; the ledger's file is not.
    backup.restore()

    assert len(office.telemetry.fetch(_OF_SERIES, ward.series)) == 4
    assert not may_store(ward.telemetry)
    replayed = office.run("erase", "replay")
    assert (replayed["erased_again"], replayed["cleared"]) == ([1], True)
    assert may_store(ward.telemetry)
    checkpoint(ward.telemetry.server)
    assert found_in([ward.telemetry.server.data], needles) == {}
    assert office.run("erase", "verify", "1")["residue"] == 0
    assert office.vault.fetch(
        "SELECT erased_at IS NOT NULL FROM vault.subjects WHERE subject = %s", ward.subject
    ) == [(True,)]


def test_restored_telemetry_is_brought_to_the_truth_of_the_vault(ward: Ward) -> None:
    """
    Erasures and withdrawals since the backup take effect again without a restart of any
    program.
    """
    office, telemetry = ward.office, ward.telemetry
    withdrawn = office.add_subject()
    office.accept(withdrawn, ward.agent, binding="C0:FF:EE:00:00:03")
    clone(telemetry, f"{telemetry.name}_backup", telemetry.name)
    ward.erase()
    office.withdraw(withdrawn)
    in_force = telemetry.fetch(_IN_FORCE)

    office.app.close()
    clone(telemetry, telemetry.name, f"{telemetry.name}_backup")

    assert telemetry.fetch(_IN_FORCE) != in_force
    assert not may_store(telemetry)
    # The daemon does this every second.
    office.app.reconciler.check()
    assert may_store(telemetry)
    assert telemetry.fetch(_IN_FORCE) == in_force
    assert telemetry.fetch(_OF_SERIES, ward.series) == []
    with pytest.raises(Refusal, match="files that are still to be rewritten"):
        office.run("erase", "verify", "1")
    office.run("erase", "replay")
    assert office.run("erase", "verify", "1")["residue"] == 0


def clone(database: Database, name: str, of: str) -> None:
    """Replace database *name* by a copy of database *of*."""
    office_gone = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s)"
    with psycopg.connect(database.server.dsn(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'ALTER DATABASE "{of}" ALLOW_CONNECTIONS false'.encode())
        deadline = time.monotonic() + 30
        while True:
            connection.execute(office_gone.encode(), [[of]])
            try:
                made = f'CREATE DATABASE "{name}" TEMPLATE "{of}" OWNER vv_owner'
                connection.execute(made.encode())
                break
            except psycopg.errors.ObjectInUse:
                assert time.monotonic() < deadline
        for one in (name, of):
            connection.execute(f'ALTER DATABASE "{one}" ALLOW_CONNECTIONS true'.encode())


def test_every_start_of_the_server_must_be_cleared(backup: Backup) -> None:
    """
    A restarted server may be a restored one, so ingest stores only after trust has
    checked it.
    """
    backup.make()

    assert not may_store(backup.ward.telemetry)
    backup.ward.office.app.reconciler.check()
    assert may_store(backup.ward.telemetry)


def test_a_role_that_may_not_rewrite_statistics_certifies_nothing(ward: Ward) -> None:
    """
    An erasure is refused if its role may not VACUUM every table, because VACUUM skips such a table
    with only a warning.
    """
    name = ward.telemetry.name
    ward.telemetry.execute(f'ALTER DATABASE "{name}" OWNER TO postgres')

    with pytest.raises(Refusal, match=r"\[erasure.telemetry\] may not rewrite"):
        ward.erase()

    ward.telemetry.execute(f'ALTER DATABASE "{name}" OWNER TO vv_owner')
    assert ward.erase()["number"] == 1


def test_needs_a_yes(ward: Ward) -> None:
    """An erasure needs an explicit confirmation, because it cannot be undone."""
    with pytest.raises(Refusal, match="--yes"):
        ward.office.run("erase", ward.subject, "--scope", "all")
    with pytest.raises(Refusal, match="--scope"):
        ward.office.run("erase", ward.subject, "--yes")
    assert ward.telemetry.fetch("SELECT * FROM vv.erasures") == []

"""Erasure, checked in the raw files of the server: no data of the erased person remain."""

import datetime as dt
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from simulators.stack.postgres import Postgres
from tests.fixtures.database import Database, create_database
from tests.fixtures.vault import Office, Refusal, create_vault, make_office
from tests.support.residue import checkpoint, found_in, names_of, rows_of

# Every file of a server is searched, while at most three other test files run.
pytestmark = [pytest.mark.database, pytest.mark.slow, pytest.mark.timeout(500)]

DAYS = 40
_IN_FORCE = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
_OF_SERIES = "SELECT series_id FROM vv.series WHERE series_id = ANY(%s)"
OTHER = "C0:FF:EE:00:00:02"


class Ward:
    """Two people at one gateway, with weeks of observations; one of them is to be erased."""

    def __init__(self, office: Office, *, days: int = DAYS) -> None:
        self.office = office
        self._days = days
        office.load_policy()
        self.agent, _ = office.enrol()
        self.subject, self.other = office.add_subject("Ada Canary"), office.add_subject("Bo Else")
        self.handle = office.accept(self.subject, self.agent)["handle"]
        self.other_handle = office.accept(self.other, self.agent, binding=OTHER)["handle"]
        self.series, self.others = (self._series(h) for h in (self.handle, self.other_handle))
        self._measure()

    @property
    def telemetry(self) -> Database:
        """The telemetry database."""
        return self.office.telemetry

    def _series(self, handle: str) -> list[int]:
        rows = self.telemetry.fetch(
            "SELECT series_id FROM vv.permissions WHERE handle = decode(%s, 'hex')"
            " ORDER BY series_id",
            handle,
        )
        return [int(str(n)) for (n,) in rows]

    def _measure(self) -> None:
        now = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)
        first = now - dt.timedelta(days=self._days)
        self.telemetry.execute("SELECT vv.ensure_partitions(%s, %s)", first.date(), now.date())
        # Few distinct values each, so that the planner's statistics keep them all.
        # No whole numbers: most of their bytes are zero, and would be found in headers of rows.
        self.telemetry.execute(
            "INSERT INTO vv.observations SELECT %s + n * interval '7 minutes', series_id,"
            " 100 + series_id + (n %% 5 + 1) * 0.3731, 0"
            " FROM vv.series, generate_series(0, %s) n",
            first,
            self._days * 24 * 60 // 7 - 1,
        )
        self.telemetry.execute(
            "INSERT INTO vv.quarantine (agent, spool_id, sequence, reason, digest, payload,"
            " received_at, expires_at) VALUES (%s, %s, 1, 'bad_seal', %s, %s, now(),"
            " now() + interval '30 days')",
            self.agent,
            bytes(16),
            bytes(16),
            b"sealed, and nobody can tell whose",
        )
        settle(self.telemetry, now)

    def erase(self, scope: str = "all") -> dict[str, object]:
        """Erase the first person."""
        return self.office.run("erase", self.subject, "--scope", scope, "--yes")

    def stored_of_other(self) -> list[object]:
        """Return all stored data of the other person, bit by bit."""
        found: list[object] = []
        found += self.telemetry.fetch(
            "SELECT time, series_id, float4send(value), flags FROM vv.observations"
            " WHERE series_id = ANY(%s) ORDER BY series_id, time",
            self.others,
        )
        for width in ("1m", "1h", "1d"):
            found += self.telemetry.fetch(
                f"SELECT a::text, float8send(total) FROM vv.aggregates_{width} a"  # noqa: S608
                " WHERE series_id = ANY(%s) ORDER BY series_id, bucket",
                self.others,
            )
        for table in ("series", "permissions"):
            found += self.telemetry.fetch(
                f"SELECT t::text FROM vv.{table} t WHERE series_id = ANY(%s) ORDER BY 1",  # noqa: S608
                self.others,
            )
        return found


def settle(database: Database, now: dt.datetime) -> None:
    """Compress, aggregate and analyse the tables, as weeks of operation would."""
    if database.variant == "timescale":
        for width in ("1m", "1h", "1d"):
            database.execute(
                f"CALL refresh_continuous_aggregate('vv.aggregates_{width}', NULL, NULL)"
            )
        database.execute(
            "SELECT compress_chunk(c) FROM show_chunks('vv.observations', older_than => %s) c",
            now - dt.timedelta(days=2),
        )
        # Late observations also create partly compressed chunks.
        database.execute(
            "INSERT INTO vv.observations SELECT %s, series_id, 111.2731 + series_id, 0"
            " FROM vv.series",
            now - dt.timedelta(days=20, seconds=-1),
        )
    else:
        database.execute("SELECT pg_stat_force_next_flush()")
        database.execute("SELECT vv.roll_up(%s)", now)
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute("ANALYZE")


def at(database: Database, found: dict[str, list[str]]) -> dict[str, set[str]]:
    """Return the names of the relations whose files were found, instead of the paths."""
    names = {
        int(str(node)): name
        for node, name in database.fetch(
            "SELECT pg_relation_filenode(oid), relname FROM pg_class"
            " WHERE pg_relation_filenode(oid) IS NOT NULL"
        )
    }
    return {
        needle: {str(names.get(int(Path(path).name.partition(".")[0]), path)) for path in paths}
        for needle, paths in found.items()
    }


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


def may_store(database: Database) -> bool:
    """Tell whether transactions of ingest may begin."""
    with psycopg.connect(database.dsn("vv_ingest"), autocommit=True) as connection:
        try:
            connection.execute("SELECT vv.hold_permissions()")
        except psycopg.errors.ObjectNotInPrerequisiteState:
            return False
        return True


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

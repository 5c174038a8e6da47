"""A ward whose people are measured for weeks, and where their identifiers are in a database."""

import datetime as dt
from pathlib import Path

import psycopg

from tests.fixtures.database import Database
from tests.fixtures.vault import Office

DAYS = 40
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


def may_store(database: Database) -> bool:
    """Tell whether transactions of ingest may begin."""
    with psycopg.connect(database.dsn("vv_ingest"), autocommit=True) as connection:
        try:
            connection.execute("SELECT vv.hold_permissions()")
        except psycopg.errors.ObjectNotInPrerequisiteState:
            return False
        return True

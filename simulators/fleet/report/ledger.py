"""The questions about a fleet's envelopes to the telemetry database. Imports psycopg."""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray

from runtime.database import postgres
from runtime.errors import SessionRefused
from runtime.logs import describe
from simulators.fleet.errors import UnansweredError

_BATCH: Final = 20_000
_COMMITTED: Final = "coalesce(pg_xact_commit_timestamp(xmin), stored_at)"
_SETTLED: Final = """
SELECT agent, spool_id, sequence, outcome, observations, extract(epoch FROM {at})::float8
FROM vv.envelopes WHERE stored_at >= to_timestamp(%s)
"""
_VERSIONS: Final = """
SELECT 'PostgreSQL', split_part(current_setting('server_version'), ' ', 1)
UNION ALL SELECT 'TimescaleDB', extversion FROM pg_extension WHERE extname = 'timescaledb'
"""
_ROWS: Final = """
SELECT count(*), coalesce(sum(n), 0)::bigint, coalesce(sum(n - 1), 0)::bigint
FROM (SELECT count(*) AS n FROM vv.observations
      WHERE time >= to_timestamp(%s) AND time < to_timestamp(%s)
      GROUP BY series_id, time) AS instants
"""
# A person who consents again continues the same series: the last withdrawal counts, if no consent
# followed. A permission whose end is infinity is closed, and not withdrawn yet.
_AFTER_WITHDRAWAL: Final = """
SELECT count(*) FROM vv.observations o
JOIN (SELECT series_id, max(pg_xact_commit_timestamp(xmin)) AS at FROM vv.permissions
      GROUP BY series_id
      HAVING bool_and(coalesce(withdrawn_at, 'infinity') < 'infinity')) AS gone USING (series_id)
WHERE pg_xact_commit_timestamp(o.xmin) > gone.at
"""
_AFTER_WITHDRAWAL_BY_CLOCK: Final = """
SELECT coalesce(sum(e.observations), 0)::bigint FROM vv.envelopes e
JOIN (SELECT agent, max(withdrawn_at) AS at FROM vv.permissions
      GROUP BY agent
      HAVING bool_and(coalesce(withdrawn_at, 'infinity') < 'infinity')) AS gone USING (agent)
WHERE e.outcome = 0 AND e.stored_at > gone.at
"""


class Settled(msgspec.Struct, frozen=True, eq=False):
    """The rows of the ledger of this run, in columns of equal length."""

    agent: NDArray[np.int64]
    """Number in the roster; -1 for an agent or a spool that is not of this run."""
    sequence: NDArray[np.int64]
    outcome: NDArray[np.int64]
    """0 accepted, 1 refused, 2 quarantined."""
    observations: NDArray[np.int64]
    committed_at: NDArray[np.float64]
    is_exact: bool
    """Whether `committed_at` is the time of the COMMIT; otherwise it is that of the insert."""

    def __len__(self) -> int:
        return len(self.agent)


class Rows(msgspec.Struct, frozen=True):
    """The counts of observations in a span of time."""

    instants: int
    rows: int
    doubled: int
    """Rows beyond the first of one series at one instant."""


class Ledger:
    """
    A connection for questions; not to be shared by threads.

    Args:
        dsn: An administrator's connection string.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def check(self) -> None:
        """
        Check that the database answers.

        Raises:
            UnansweredError: It does not answer, or is no telemetry database.
        """
        try:
            with postgres.connect(self._dsn, autocommit=False) as connection:
                connection.execute("SELECT FROM vv.envelopes LIMIT 0")
        except (psycopg.Error, SessionRefused) as exc:
            raise _unanswered(exc) from None

    def versions(self) -> dict[str, str]:
        """
        Return the versions of the server, and of TimescaleDB if it is there.

        Raises:
            UnansweredError: The database does not answer.
        """
        try:
            with postgres.connect(self._dsn, autocommit=False) as connection:
                return dict(connection.execute(_VERSIONS).fetchall())
        except (psycopg.Error, SessionRefused) as exc:
            raise _unanswered(exc) from None

    def settled(self, spools: Mapping[tuple[str, bytes], int], *, since: float) -> Settled:
        """
        Return the envelopes that were settled since *since*.

        Args:
            spools: The number in the roster of each agent and spool of this run.

            since: Seconds since 1970.

        Raises:
            UnansweredError: The database does not answer.
        """
        found: list[tuple[int, int, int, int, float]] = []
        try:
            with postgres.connect(self._dsn, autocommit=False) as connection:
                is_exact = _has_commit_times(connection)
                query = _SETTLED.replace("{at}", _COMMITTED if is_exact else "stored_at")
                with connection.cursor(name="settled", binary=True) as cursor:
                    cursor.execute(query.encode(), [since])
                    while rows := cursor.fetchmany(_BATCH):
                        found.extend(
                            (spools.get((agent, bytes(spool)), -1), *rest)
                            for agent, spool, *rest in rows
                        )
        except (psycopg.Error, SessionRefused) as exc:
            raise _unanswered(exc) from None
        columns = np.array(found, dtype=np.float64).reshape(-1, 5).T
        agent, sequence, outcome, observations = columns[:4].astype(np.int64)
        return Settled(agent, sequence, outcome, observations, columns[4], is_exact)

    def rows(self, *, since: float, until: float) -> Rows:
        """
        Return how many observations have a time in [*since*, *until*), in seconds since 1970.

        Raises:
            UnansweredError: The database does not answer.
        """
        try:
            with postgres.connect(self._dsn, autocommit=False) as connection:
                found = connection.execute(_ROWS, [since, until]).fetchone()
        except (psycopg.Error, SessionRefused) as exc:
            raise _unanswered(exc) from None
        return Rows(*map(int, found or (0, 0, 0)))

    def rows_after_withdrawal(self) -> int:
        """
        Return how many observations of withdrawn handles were committed after the withdrawal.

        Raises:
            UnansweredError: The database does not answer.
        """
        try:
            with postgres.connect(self._dsn, autocommit=False) as connection:
                is_exact = _has_commit_times(connection)
                query = _AFTER_WITHDRAWAL if is_exact else _AFTER_WITHDRAWAL_BY_CLOCK
                found = connection.execute(query.encode()).fetchone()
        except (psycopg.Error, SessionRefused) as exc:
            raise _unanswered(exc) from None
        return int(found[0]) if found else 0


def _has_commit_times(connection: psycopg.Connection) -> bool:
    return connection.execute("SHOW track_commit_timestamp").fetchone() == ("on",)


def _unanswered(exc: psycopg.Error | SessionRefused) -> UnansweredError:
    # Without the text of the error, which may name the host.
    return UnansweredError(f"The database did not answer: {describe(exc)}")

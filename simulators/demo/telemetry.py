"""The demo's questions to the telemetry database, asked as its administrator."""

import datetime as dt

import msgspec

from runtime.database import postgres
from simulators.demo.accounts import Stored
from wire.quantities import QUANTITIES

_BY_QUANTITY = """
SELECT s.quantity, count(*) FROM vv.observations o JOIN vv.series s USING (series_id)
GROUP BY s.quantity ORDER BY s.quantity
"""
_LEDGER = """
SELECT coalesce(sum(observations), 0), count(*) FILTER (WHERE outcome = 0),
       count(*) FILTER (WHERE outcome = 1), count(*) FILTER (WHERE outcome = 2)
FROM vv.envelopes
"""
# With commit timestamps the database itself tells which COMMIT came first. The handle of the
# person was withdrawn for good, so that every row of its series is theirs.
_AFTER_COMMIT = """
WITH gone AS (
    SELECT DISTINCT series_id, pg_xact_commit_timestamp(xmin) AS committed_at
    FROM vv.permissions WHERE withdrawn_at < 'infinity'
), theirs AS (
    SELECT pg_xact_commit_timestamp(o.xmin) AS row_at, gone.committed_at
    FROM vv.observations o JOIN gone USING (series_id)
)
SELECT count(*) FILTER (WHERE row_at > committed_at),
       max(committed_at) - max(row_at) FILTER (WHERE row_at <= committed_at),
       max(committed_at)
FROM theirs
"""
# Without commit timestamps, the person's rows are counted right after the COMMIT and at the end.
_HERS = """
SELECT count(*) FROM vv.observations
WHERE series_id IN (SELECT series_id FROM vv.permissions WHERE withdrawn_at < 'infinity')
"""


class AfterWithdrawal(msgspec.Struct, frozen=True):
    """Rows of the withdrawn person around the COMMIT of the withdrawal."""

    rows_after_commit: int
    last_row_before_ms: float | None
    committed_at: dt.datetime | None


def stored(dsn: str) -> Stored:
    """Return the counts of rows, observations and envelopes of the database."""
    with postgres.connect(dsn) as connection:
        quantities = connection.execute(_BY_QUANTITY).fetchall()
        ledger = connection.execute(_LEDGER).fetchone() or (0, 0, 0, 0)
    counts = {QUANTITIES[code].name: int(count) for code, count in quantities}
    return Stored(
        observations=sum(counts.values()),
        by_quantity=counts,
        ledger_observations=int(ledger[0]),
        accepted_envelopes=int(ledger[1]),
        refused_envelopes=int(ledger[2]),
        quarantined_envelopes=int(ledger[3]),
    )


def rows_of_withdrawn(dsn: str) -> int:
    """Return how many rows of the withdrawn person there are now."""
    with postgres.connect(dsn) as connection:
        found = connection.execute(_HERS).fetchone()
    return int(found[0]) if found else 0


def after_withdrawal(dsn: str, *, rows_at_commit: int) -> AfterWithdrawal:
    """
    Return which rows of the withdrawn person were committed after the withdrawal.

    Args:
        dsn: An administrator's connection string.

        rows_at_commit: From `rows_of_withdrawn` just after the COMMIT, for a server without
            commit timestamps.
    """
    with postgres.connect(dsn) as connection:
        if connection.execute("SHOW track_commit_timestamp").fetchone() != ("on",):
            return AfterWithdrawal(rows_of_withdrawn(dsn) - rows_at_commit, None, None)
        rows, before, committed_at = connection.execute(_AFTER_COMMIT).fetchone() or (
            0,
            None,
            None,
        )
    return AfterWithdrawal(
        int(rows), None if before is None else before / dt.timedelta(milliseconds=1), committed_at
    )

"""
The accounting of a run: what gateways sealed against what the database holds. Pure.

Checks the promises P4, P5 and P6. Gateways and ingest count separately; here their counts are
compared, envelope by envelope: `sealed = stored + refused + quarantined + in flight + purged +
lost`.
"""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulators.fleet.report.journal import PURGED, UNSETTLED, Columns
from simulators.fleet.report.ledger import Rows, Settled
from simulators.fleet.report.tally import TallySnapshot
from simulators.fleet.scenario.plan import Act

_MISSING: Final = -1
_ACCEPTED, _REFUSED, _QUARANTINED = 0, 1, 2


class Ingested(msgspec.Struct, frozen=True):
    """The counters of ingest, in envelopes as they arrived."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    quarantined: int = 0
    abandoned: int = 0
    in_flight: int = 0
    refused_by_reason: dict[str, int] = {}

    @property
    def missing(self) -> int:
        """How many received envelopes have no outcome."""
        outcomes = self.stored + self.duplicates + self.refused + self.quarantined
        return self.received - outcomes - self.abandoned - self.in_flight


class Accounting(msgspec.Struct, frozen=True):
    """The result, in envelopes with an identity unless a field says otherwise."""

    sealed: int
    stored: int
    refused: int
    quarantined: int
    in_flight: int
    """Neither settled nor known to the database."""
    purged: int
    """Never sent, because the lease had ended."""
    lost: int
    """Envelopes with a receipt that the database lacks, and observations that it lacks."""
    doubled: int
    """Observations that are stored twice, and rows beyond the count of the ledger."""
    unexpected: int
    """Envelopes whose outcome is not the one that their content requires."""
    unknown: int
    """Envelopes in the ledger under a spool or sequence that was never sealed."""
    withdrawn: int
    """Refused because their person had withdrawn."""
    observations_sealed: int
    """Observations in the stored envelopes."""
    observations_stored: int
    published: int
    """PUBLISH packets, including repetitions."""
    nameless: int
    """PUBLISH packets of envelopes without an identity of their own."""
    taken: int
    """PUBLISH packets that the broker acknowledged as taken."""
    denied: int
    """PUBLISH packets that the broker refused."""
    received: int
    """Received by ingest, by its own count; likewise the next field."""
    duplicates: int
    unaccounted: int
    """Received by ingest, without an outcome."""
    lost_envelopes: int
    """The envelopes among `lost`; the rest are observations."""

    @property
    def unbalanced(self) -> int:
        """By how much the two sides differ; 0 when they agree."""
        outcomes = self.stored + self.refused + self.quarantined + self.in_flight + self.purged
        apart = abs(self.sealed - outcomes - self.lost_envelopes)
        return apart + self.unknown + abs(self.unaccounted)


class Joined(msgspec.Struct, frozen=True, eq=False):
    """
    The journal, with the ledger's row of each envelope; all arrays have one entry
    per envelope.
    """

    journal: Columns
    outcome: NDArray[np.int64]
    """Outcome in the ledger; -1 where the database does not know the envelope."""
    observations: NDArray[np.int64]
    committed_at: NDArray[np.float64]
    unknown: int

    @property
    def is_stored(self) -> NDArray[np.bool_]:
        """A mask of the envelopes that were stored."""
        found: NDArray[np.bool_] = self.outcome == _ACCEPTED
        return found


def join(journal: Columns, settled: Settled) -> Joined:
    """Match each envelope of *journal* with its row of the ledger."""
    keys = _keys(journal.agent.astype(np.int64), journal.sequence.astype(np.int64))
    theirs = _keys(settled.agent, settled.sequence)
    order = np.argsort(theirs, kind="stable")
    theirs = theirs[order]
    at = np.searchsorted(theirs, keys)
    at[at == len(theirs)] = 0
    hit = theirs[at] == keys if len(theirs) else np.zeros(len(keys), np.bool_)
    row = order[at] if len(theirs) else np.zeros(len(keys), np.int64)

    def column(values: NDArray[Any], absent: float) -> NDArray[Any]:
        if not len(values):
            return np.full(len(keys), absent)
        return np.where(hit, values[row], absent)

    known = np.isin(theirs, keys) if len(keys) else np.zeros(len(theirs), np.bool_)
    return Joined(
        journal,
        column(settled.outcome, _MISSING).astype(np.int64),
        column(settled.observations, 0).astype(np.int64),
        column(settled.committed_at, 0.0),
        int((~known).sum()),
    )


def by_receipts(journal: Columns) -> Joined:
    """Count each receipt as a stored envelope, where there is no database to ask."""
    has_receipt = journal.settled_at > UNSETTLED
    return Joined(
        journal,
        np.where(has_receipt, _ACCEPTED, _MISSING),
        np.where(has_receipt, journal.observations, 0).astype(np.int64),
        np.where(has_receipt, journal.settled_at, 0.0),
        unknown=0,
    )


def _keys(agent: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
    return (agent << 40) | sequence


def settle(
    joined: Joined,
    *,
    rows: Rows | None,
    tally: TallySnapshot,
    ingested: Ingested,
    withdrawn: NDArray[np.bool_],
) -> Accounting:
    """
    Return the accounting.

    Args:
        joined: The envelopes of both sides.

        rows: The counts of the observations table; None if it could not be counted.

        tally: The counters of the gateways.

        ingested: The counters of ingest.

        withdrawn: A mask of the envelopes whose person withdrew during the run.
    """
    journal, outcome = joined.journal, joined.outcome
    is_missing = outcome == _MISSING
    is_purged = is_missing & (journal.settled_at == PURGED)
    is_lost = is_missing & (journal.settled_at > UNSETTLED)
    is_refused = outcome == _REFUSED
    of_withdrawn = is_refused & withdrawn & _is_honest(journal)
    sealed_observations = int(journal.observations[joined.is_stored].sum())
    ledger_observations = int(joined.observations.sum())
    stored_rows = ledger_observations if rows is None else rows.rows
    lost_envelopes = int(is_lost.sum())
    fewer = max(0, sealed_observations - ledger_observations, ledger_observations - stored_rows)
    more = max(0, ledger_observations - sealed_observations) + max(
        0, stored_rows - ledger_observations
    )
    return Accounting(
        sealed=len(journal),
        stored=int(joined.is_stored.sum()),
        refused=int(is_refused.sum()),
        quarantined=int((outcome == _QUARANTINED).sum()),
        in_flight=int((is_missing & ~is_purged & ~is_lost).sum()),
        purged=int(is_purged.sum()),
        lost=lost_envelopes + fewer,
        doubled=max(more, 0 if rows is None else rows.doubled),
        unexpected=int((_is_unexpected(journal, outcome) & ~of_withdrawn).sum()),
        unknown=joined.unknown,
        withdrawn=int(of_withdrawn.sum()),
        observations_sealed=sealed_observations,
        observations_stored=stored_rows,
        published=tally.published,
        nameless=sum(tally.nameless.values()),
        taken=tally.taken + tally.nameless_taken,
        denied=tally.denied,
        received=ingested.received,
        duplicates=ingested.duplicates,
        unaccounted=ingested.missing,
        lost_envelopes=lost_envelopes,
    )


def _is_honest(journal: Columns) -> NDArray[np.bool_]:
    return np.isin(journal.act, [Act.SEND, Act.SEND_TWICE, Act.SEND_LATE, Act.FORGED])


def _is_unexpected(journal: Columns, outcome: NDArray[np.int64]) -> NDArray[np.bool_]:
    """
    Return a mask of the envelopes whose outcome differs from the one that their act
    requires.
    """
    found = outcome != _MISSING
    fits = np.where(_is_honest(journal), outcome == _ACCEPTED, outcome == _REFUSED)
    result: NDArray[np.bool_] = found & ~fits
    return result

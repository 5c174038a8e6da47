"""The accounting of a demo."""

import msgspec
import pytest

from simulators.demo.accounts import (
    DemoReport,
    IngestCounters,
    SpoolTotals,
    Stored,
    Withdrawal,
    settle,
)

SPOOL = SpoolTotals(
    appended_envelopes=10,
    appended_observations=100,
    purged_envelopes=0,
    purged_observations=0,
    evicted_envelopes=0,
    evicted_observations=0,
    held_envelopes=0,
)
STORED = Stored(
    observations=100,
    by_quantity={"heart_rate": 100},
    ledger_observations=100,
    accepted_envelopes=10,
    refused_envelopes=0,
    quarantined_envelopes=0,
)
INGESTED = IngestCounters(
    received=10,
    stored=10,
    duplicates=0,
    refused=0,
    quarantined=0,
    abandoned=0,
    in_flight=0,
    refused_by_reason={},
    refused_observations=0,
    p50_s=0.1,
    p99_s=0.2,
)
HEEDED = Withdrawal(1.0, 0.1, 0, 5.0)


def books(
    spool: SpoolTotals = SPOOL,
    stored: Stored = STORED,
    ingested: IngestCounters = INGESTED,
    withdrawal: Withdrawal | None = HEEDED,
) -> DemoReport:
    """Return the accounting of one agent's run."""
    return settle([spool], stored, ingested, withdrawal=withdrawal, source={"recorded": 1})


def test_everything_stored_is_good() -> None:
    """If every appended observation is stored once, the accounting balances."""
    report = books()
    assert (report.lost, report.doubled, report.in_flight) == (0, 0, 0)
    assert report.is_good


@pytest.mark.parametrize(
    ("spool", "stored"),
    [
        pytest.param(SPOOL, {"accepted_envelopes": 9}, id="an envelope"),
        pytest.param(SPOOL, {"observations": 99, "ledger_observations": 99}, id="one observation"),
    ],
)
def test_what_is_nowhere_is_lost(spool: SpoolTotals, stored: dict[str, int]) -> None:
    """An appended observation that is neither stored, refused, purged nor held is lost."""
    report = books(spool, msgspec.structs.replace(STORED, **stored))
    assert report.lost == 1
    assert not report.is_good


def test_what_is_stored_twice_is_doubled() -> None:
    """Rows beyond the ledger's count are doubled."""
    report = books(stored=msgspec.structs.replace(STORED, observations=101))
    assert report.doubled == 1
    assert not report.is_good


def test_what_is_held_is_in_flight() -> None:
    """Envelopes that a spool holds and the ledger does not have are in flight."""
    spool = msgspec.structs.replace(SPOOL, held_envelopes=2)
    stored = msgspec.structs.replace(
        STORED, accepted_envelopes=8, observations=80, ledger_observations=80
    )
    report = books(spool, stored)
    assert (report.in_flight, report.lost) == (2, 0)
    assert report.is_good


def test_purged_counts_once() -> None:
    """An envelope that was purged after it had been stored counts as stored."""
    purged = msgspec.structs.replace(SPOOL, purged_envelopes=2, purged_observations=20)
    assert (books(purged).purged, books(purged).lost) == (0, 0)
    unsent = msgspec.structs.replace(
        STORED, accepted_envelopes=8, observations=80, ledger_observations=80
    )
    assert (books(purged, unsent).purged, books(purged, unsent).lost) == (20, 0)


@pytest.mark.parametrize("broken", ["received", "stored", "duplicates", "abandoned"])
def test_ingest_must_balance(broken: str) -> None:
    """A received envelope without an outcome breaks the accounting."""
    ingested = msgspec.structs.replace(INGESTED, **{broken: getattr(INGESTED, broken) + 1})
    assert not books(ingested=ingested).is_good


def test_a_row_after_the_withdrawal_is_never_good() -> None:
    """One row after the COMMIT of the withdrawal makes the run fail."""
    withdrawal = Withdrawal(1.0, 0.1, 1, 5.0)
    assert not books(withdrawal=withdrawal).is_good


def test_where_nothing_was_stored_nothing_is_proved() -> None:
    """A run in which nothing was stored fails, because it has not shown that any promise holds."""
    spool = msgspec.structs.replace(SPOOL, appended_envelopes=0, appended_observations=0)
    stored = Stored(0, {}, 0, 0, 0, 0)
    report = books(spool, stored, msgspec.structs.replace(INGESTED, received=0, stored=0))
    assert (report.lost, report.doubled, report.conserved) == (0, 0, True)
    assert not report.is_good


def test_without_a_withdrawal_consent_is_not_proved() -> None:
    """A run without a withdrawal fails, because it has not shown that consent is obeyed."""
    assert not books(withdrawal=None).is_good

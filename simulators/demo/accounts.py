"""
The books of a run: what agents spooled against what the database holds (promises P4, P5, P6).

Pure. Each side counts for itself, the agents in their spools and ingest in its ledger; here they
are set against each other.
"""

from typing import Any

import msgspec


class SpoolTotals(msgspec.Struct, frozen=True):
    """What one agent's spool has counted since it was made, and still holds."""

    appended_envelopes: int
    appended_observations: int
    purged_envelopes: int
    purged_observations: int
    evicted_envelopes: int
    evicted_observations: int
    held_envelopes: int


class Stored(msgspec.Struct, frozen=True):
    """What the telemetry database holds."""

    observations: int
    by_quantity: dict[str, int]
    """By the quantity's name."""
    ledger_observations: int
    """What the ledger says that the envelopes added."""
    accepted_envelopes: int
    refused_envelopes: int
    quarantined_envelopes: int


class IngestCounters(msgspec.Struct, frozen=True):
    """What ingest says of itself: envelopes, but for `refused_observations`."""

    received: int
    stored: int
    duplicates: int
    refused: int
    quarantined: int
    abandoned: int
    in_flight: int
    refused_by_reason: dict[str, int]
    refused_observations: int
    p50_s: float | None
    p99_s: float | None

    @property
    def balances(self) -> bool:
        """Whether every envelope that ingest received has one outcome."""
        return self.received == (
            self.stored
            + self.duplicates
            + self.refused
            + self.quarantined
            + self.abandoned
            + self.in_flight
        )


class Withdrawal(msgspec.Struct, frozen=True):
    """How fast a withdrawal took effect. Times count from its COMMIT."""

    refused_after_ms: float | None
    """When ingest knew; rows are excluded from the COMMIT on, whether it knows or not."""
    agent_stopped_after_s: float | None
    """When the agent stopped listening to her sensors."""
    rows_after_commit: int
    last_row_before_ms: float | None
    """How long before the COMMIT the last of her rows was committed."""


class DemoReport(msgspec.Struct, frozen=True):
    """How a run ended. Observations, but for `envelopes`."""

    published: int
    stored: int
    duplicates: int
    refused: dict[str, int]
    quarantined: int
    purged: int
    in_flight: int
    lost: int
    doubled: int
    conserved: bool
    withdrawal: Withdrawal | None
    latency_ms: dict[str, float | None]
    source: dict[str, int]
    by_quantity: dict[str, int]
    envelopes: dict[str, int]

    @property
    def is_good(self) -> bool:
        """Whether something was stored, and nothing lost, doubled or stored after a withdrawal."""
        if self.withdrawal is None or not self.stored:
            return False  # Where nothing happened, nothing was kept, either.
        late = self.withdrawal.rows_after_commit
        return self.conserved and not self.lost and not self.doubled and not late

    def to_json(self) -> str:
        """Return it as one JSON object."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()


def settle(
    spools: list[SpoolTotals],
    stored: Stored,
    ingested: IngestCounters,
    *,
    withdrawal: Withdrawal | None,
    source: dict[str, int],
) -> DemoReport:
    """
    Return the report of a run that has come to rest.

    Args:
        spools: One for each agent.

        stored: The database.

        ingested: Ingest, since its start.

        withdrawal: How the withdrawal went, if there was one.

        source: How many sensors played a recording, and how many a persona.
    """
    appended = sum(s.appended_envelopes for s in spools)
    purged = sum(s.purged_envelopes + s.evicted_envelopes for s in spools)
    held = sum(s.held_envelopes for s in spools)
    settled = stored.accepted_envelopes + stored.refused_envelopes + stored.quarantined_envelopes
    # A receipt that is still on its way leaves an envelope in both: held and settled. So what is
    # in flight is what is held and not settled, and neither side alone can tell.
    unsettled = appended - purged - settled
    in_flight = min(max(unsettled, 0), held)
    lost = max(unsettled - held, 0)
    published = sum(s.appended_observations for s in spools)
    # What an agent purged may have been stored while its receipt was under way; so of the purged,
    # only those count that are missing elsewhere. A loss of as many would hide behind them.
    unstored = published - stored.observations - ingested.refused_observations
    purged_observations = min(
        max(unstored, 0), sum(s.purged_observations + s.evicted_observations for s in spools)
    )
    doubled = max(stored.observations - stored.ledger_observations, 0) + max(settled - appended, 0)
    # With nothing in flight or quarantined, the observations must balance to the last one.
    missing = unstored - purged_observations
    is_at_rest = not in_flight and not stored.quarantined_envelopes
    return DemoReport(
        published=published,
        stored=stored.observations,
        duplicates=ingested.duplicates,
        refused=ingested.refused_by_reason,
        quarantined=stored.quarantined_envelopes,
        purged=purged_observations,
        in_flight=in_flight,
        lost=max(lost, missing if is_at_rest else 0, 0),
        doubled=doubled,
        conserved=ingested.balances and lost == 0 and doubled == 0,
        withdrawal=withdrawal,
        latency_ms={"p50": _ms(ingested.p50_s), "p99": _ms(ingested.p99_s)},
        source=source,
        by_quantity=stored.by_quantity,
        envelopes={
            "published": appended,
            "settled": settled,
            "purged": purged,
            "held": held,
            "received": ingested.received,
        },
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)

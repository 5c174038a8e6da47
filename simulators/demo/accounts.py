"""
The accounting of a demo: what agents spooled against what the database holds. Pure.

Checks the promises P4, P5 and P6. Agents count in their spools and ingest counts in its ledger;
here the two counts are compared.
"""

from typing import Any

import msgspec


class SpoolTotals(msgspec.Struct, frozen=True):
    """The counters of one agent's spool since it was created, and what it still holds."""

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
    """Observations that the envelopes of the ledger added."""
    accepted_envelopes: int
    refused_envelopes: int
    quarantined_envelopes: int


class IngestCounters(msgspec.Struct, frozen=True):
    """
    The counters of ingest: envelopes, except `refused_observations`, which counts
    observations.
    """

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
        """Whether every envelope that ingest received has exactly one outcome."""
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
    """When ingest knew of it. Rows are excluded from the COMMIT on, whether ingest knows or
    not."""
    agent_stopped_after_s: float | None
    """When the agent stopped listening to the sensors of the person."""
    rows_after_commit: int
    last_row_before_ms: float | None
    """How long before the COMMIT the person's last row was committed."""


class DemoReport(msgspec.Struct, frozen=True):
    """The result of a run. Counts are of observations, except `envelopes`."""

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
        """
        Whether something was stored, and nothing was lost, doubled or stored after a
        withdrawal.
        """
        if self.withdrawal is None or not self.stored:
            # A run in which nothing was stored has not shown that any promise holds.
            return False
        late = self.withdrawal.rows_after_commit
        return self.conserved and not self.lost and not self.doubled and not late

    def to_json(self) -> str:
        """Return the report as one JSON object."""
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
    Return the report of a run in which nothing is sent any more.

    Args:
        spools: The counters of each agent's spool.

        stored: What the database holds.

        ingested: The counters of ingest since its start.

        withdrawal: How the withdrawal went; None if there was none.

        source: How many sensors played a recording, and how many a persona.
    """
    appended = sum(s.appended_envelopes for s in spools)
    purged = sum(s.purged_envelopes + s.evicted_envelopes for s in spools)
    held = sum(s.held_envelopes for s in spools)
    settled = stored.accepted_envelopes + stored.refused_envelopes + stored.quarantined_envelopes
    # While a receipt is on its way, an envelope counts as held by the spool and as settled by
    # ingest. So an envelope is in flight if it is held and not settled; neither side alone can
    # tell.
    unsettled = appended - purged - settled
    in_flight = min(max(unsettled, 0), held)
    lost = max(unsettled - held, 0)
    published = sum(s.appended_observations for s in spools)
    # An envelope that an agent purged may have been stored while its receipt was on its way. So
    # purged envelopes only count where they are missing elsewhere; a loss of as many would be
    # hidden.
    unstored = published - stored.observations - ingested.refused_observations
    purged_observations = min(
        max(unstored, 0), sum(s.purged_observations + s.evicted_observations for s in spools)
    )
    doubled = max(stored.observations - stored.ledger_observations, 0) + max(settled - appended, 0)
    # With nothing in flight or quarantined, every observation must be accounted for.
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

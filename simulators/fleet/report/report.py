"""The report of a run, as values: figures by phase, the books, whether the limits were kept."""

from typing import Any

import msgspec

from simulators.fleet.report.accounting import Accounting, Ingested


class PhaseReport(msgspec.Struct, frozen=True):
    """A phase. Times in seconds, counted from when an envelope was due."""

    name: str
    from_s: float
    until_s: float
    offered_per_s: float
    sent_per_s: float
    """Of the envelopes that were due in it, those that were sealed and sent, whenever."""
    stored_per_s: float
    """Committed in it, whenever they were due."""
    queryable: dict[str, float | None]
    """Until the COMMIT."""
    receipt: dict[str, float | None]
    """Until the gateway had its receipt."""
    withdrawals: int = 0
    """People who were to withdraw in it."""
    ceiling_per_s: float | None = None
    """Where ingest had stood still before it: how fast it settled what had gathered."""
    cpu: dict[str, float] = {}
    """How many cores each program used while it lasted; at its edges true to a second."""


class UsageSample(msgspec.Struct, frozen=True):
    """The run at a second."""

    at_s: float
    online: int
    waiting: int
    rss_mb: dict[str, float]
    cpu: dict[str, float]
    """Share of one core."""


class Generator(msgspec.Struct, frozen=True):
    """What the load itself cost, and whether it kept its own time."""

    workers: int
    cpu_us_per_envelope: float | None
    """All that it used while the phases lasted, by all that it published."""
    system_us_per_envelope: float | None
    """The kernel's part of it: system calls, and what TCP does within them, for either side."""
    marginal_us_per_envelope: float | None
    """The same without what it uses while everybody is connected and nothing is due."""
    idle_cpu: float
    """What that is, in cores."""
    connecting_ms: float | None
    """CPU time of a connection until its gateway has a lease."""
    idle_kb_per_agent: float | None
    lag: dict[str, float | None]
    """How long after it was due the generator began an act."""
    offered: float
    """Share of the plan that was begun, and within a second of its time."""

    @property
    def was_the_limit(self) -> bool:
        """Whether it offered less than 99 % of the plan."""
        return self.offered < 0.99


class Verdict(msgspec.Struct, frozen=True):
    """A limit, and whether it was kept."""

    text: str
    measured: float | None
    is_kept: bool


class FleetReport(msgspec.Struct, frozen=True):
    """Everything that a run showed."""

    scenario: str
    about: str
    seed: int
    plan: str
    """Digest of the plan: two runs of one plan did the same."""
    agents: int
    connected: int
    """The most gateways that were connected at once."""
    enrolment_s: float | None
    ramp_s: float
    drain_s: float | None
    """From the end of the last outage until all that was due before it was stored."""
    settle_s: float
    phases: list[PhaseReport]
    overall: PhaseReport
    """All phases in which every gateway had its network."""
    books: Accounting | None
    ingest: Ingested
    generator: Generator
    links: dict[str, int]
    """Connections that ended, or never came to be, by kind."""
    rows_after_withdrawal: int | None
    withdrawals: int
    withdrawn_late_s: float | None
    """How long after it was due the tardiest withdrawal took effect; None unless all did."""
    highest_mb: dict[str, float]
    cpu_s: dict[str, float]
    machine: dict[str, float]
    notes: list[str]
    verdicts: list[Verdict]
    samples: list[UsageSample]
    per_second: dict[str, list[float]]
    curve: list[tuple[float, float]]

    @property
    def is_good(self) -> bool:
        """Whether every limit was kept."""
        return all(verdict.is_kept for verdict in self.verdicts)

    def to_json(self) -> str:
        """Return it as one JSON object."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        fields["is_good"] = self.is_good
        fields["generator"]["was_the_limit"] = self.generator.was_the_limit
        if self.books is not None:
            fields["books"]["unbalanced"] = self.books.unbalanced
        return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()

"""The report of a run, as values: figures by phase, the accounting, and the verdicts on limits."""

from typing import Any

import msgspec

from simulators.fleet.report.accounting import Accounting, Ingested


class PhaseReport(msgspec.Struct, frozen=True):
    """The figures of a phase. Times in seconds from when an envelope was due."""

    name: str
    from_s: float
    until_s: float
    offered_per_s: float
    sent_per_s: float
    """Envelopes due in the phase that were sealed and sent, at any time."""
    stored_per_s: float
    """Envelopes committed in the phase, due at any time."""
    queryable: dict[str, float | None]
    """Time from due to COMMIT."""
    receipt: dict[str, float | None]
    """Time from due until the gateway had its receipt."""
    withdrawals: int = 0
    """People who were to withdraw in the phase."""
    ceiling_per_s: float | None = None
    """Envelopes settled a second from the backlog, if ingest was stopped before the phase."""
    cpu: dict[str, float] = {}
    """How many cores each program used; exact to a second at the edges of the phase."""


class UsageSample(msgspec.Struct, frozen=True):
    """The state of the run at one second."""

    at_s: float
    online: int
    waiting: int
    rss_mb: dict[str, float]
    cpu: dict[str, float]
    """Use of processors by program; 1 is one core."""


class Generator(msgspec.Struct, frozen=True):
    """The cost of the generator, and whether it kept its schedule."""

    workers: int
    cpu_us_per_envelope: float | None
    """Processor time during the phases per published envelope, in µs."""
    system_us_per_envelope: float | None
    """The kernel's part of it: system calls, and the work of TCP for both ends within them."""
    marginal_us_per_envelope: float | None
    """The same without the idle cost of all connections."""
    idle_cpu: float
    """The idle cost, in cores."""
    connecting_ms: float | None
    """Processor time of a connection until its gateway has a lease, in ms."""
    idle_kb_per_agent: float | None
    lag: dict[str, float | None]
    """How long after it was due the generator began an act."""
    offered: float
    """Share of the plan that was begun within a second of its time."""

    @property
    def was_the_limit(self) -> bool:
        """Whether the generator offered less than 99 % of the plan."""
        return self.offered < 0.99


class Context(msgspec.Struct, frozen=True):
    """What a reader must know to compare the run with another: when, how, on what."""

    began_at: str
    """RFC 3339, in UTC, to the second."""
    ended_at: str
    command: str
    """The command, without addresses and folders."""
    versions: dict[str, str]
    """The version of each program that is known."""
    host: str
    """System, processor, cores and memory; no name and no address."""


class Verdict(msgspec.Struct, frozen=True):
    """A limit, and whether it was kept."""

    text: str
    measured: float | None
    is_kept: bool


class FleetReport(msgspec.Struct, frozen=True):
    """The complete result of a run."""

    scenario: str
    about: str
    seed: int
    plan: str
    """Digest of the plan: runs with equal digests did the same."""
    context: Context
    agents: int
    connected: int
    """The most gateways that were connected at the same time."""
    enrolment_s: float | None
    ramp_s: float
    drain_s: float | None
    """From the end of the last outage until everything due before it was stored."""
    settle_s: float
    phases: list[PhaseReport]
    overall: PhaseReport
    """The figures of all phases in which every gateway had its network."""
    books: Accounting | None
    ingest: Ingested
    generator: Generator
    links: dict[str, int]
    """Connections that ended, or could not be made, by kind."""
    rows_after_withdrawal: int | None
    withdrawals: int
    withdrawn_late_s: float | None
    """How long after it was due the latest withdrawal took effect; None unless all did."""
    highest_mb: dict[str, float]
    cpu_s: dict[str, float]
    machine: dict[str, float]
    notes: list[str]
    verdicts: list[Verdict]
    samples: list[UsageSample]
    per_second: dict[str, list[float]]
    curve: list[tuple[float, float]]
    """The time from due to queryable at shares of the envelopes."""
    timed: int
    """How many envelopes these shares are of."""

    @property
    def is_good(self) -> bool:
        """Whether every limit was kept."""
        return all(verdict.is_kept for verdict in self.verdicts)

    def to_json(self) -> str:
        """Return the report as one JSON object."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        fields["is_good"] = self.is_good
        fields["generator"]["was_the_limit"] = self.generator.was_the_limit
        if self.books is not None:
            fields["books"]["unbalanced"] = self.books.unbalanced
        return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()

"""The report of a run: figures by phase, the books, and whether the limits were kept. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from simulators.fleet.books import Books, Ingested, Joined
from simulators.fleet.histogram import Histogram
from simulators.fleet.limits import Limit
from simulators.fleet.plan import Act, Plan
from simulators.fleet.scenario import Scenario
from simulators.fleet.tally import Snapshot

_MEASURED = [int(Act.SEND), int(Act.SEND_TWICE)]
"""What is late on purpose tells nothing of the system."""
_POINTS = [*np.linspace(0, 0.9, 19), *(1 - 10.0 ** -np.linspace(1, 5, 33))]


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


class Sample(msgspec.Struct, frozen=True):
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


class Report(msgspec.Struct, frozen=True):
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
    books: Books | None
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
    samples: list[Sample]
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


class Figures:
    """
    Figures of a run, from both sides' columns.

    Args:
        scenario: What was run.

        plan: What was due.

        joined: What became of it.

        starts_at: When the first phase began, seconds since 1970.
    """

    def __init__(self, scenario: Scenario, plan: Plan, joined: Joined, starts_at: float) -> None:
        self._scenario = scenario
        self._plan = plan
        self._joined = joined
        self._starts_at = starts_at
        self._is_measured = joined.is_stored & np.isin(joined.journal.act, _MEASURED)
        self.queryable_s = joined.committed_at - joined.journal.due_at
        self.edges = np.cumsum([0.0, *(phase.duration_s for phase in scenario.phases)])

    def phase(self, number: int, receipt: Histogram) -> PhaseReport:
        """Return the figures of a phase."""
        phase = self._scenario.phases[number]
        span = (float(self.edges[number]), float(self.edges[number + 1]))
        return msgspec.structs.replace(
            self._of(phase.name, [number], span, receipt),
            withdrawals=phase.withdrawals,
            ceiling_per_s=self._ceiling(number, span),
        )

    def _ceiling(self, number: int, span: tuple[float, float]) -> float | None:
        """Return how many of those that had gathered were settled a second, in the thick of it."""
        if not number or not self._scenario.phases[number - 1].ingest_stopped:
            return None
        begins_at = self._starts_at + span[0]
        joined = self._joined
        # Of whoever has withdrawn they are refused, and that is ingest's work as well.
        gathered = (joined.outcome >= 0) & (joined.journal.due_at < begins_at)
        at = np.sort(joined.committed_at[gathered & (joined.committed_at >= begins_at)])
        at = at[at < self._starts_at + span[1]]
        tenth = len(at) // 10
        if not tenth or at[-1 - tenth] <= at[tenth]:
            return None
        return float((len(at) - 2 * tenth) / (at[-1 - tenth] - at[tenth]))

    def overall(self, receipt: Histogram) -> PhaseReport:
        """Return the figures of all phases in which every gateway had its network."""
        return self._of("overall", self.calm(), (0.0, float(self.edges[-1])), receipt)

    def calm(self) -> list[int]:
        """Return the phases in which every gateway had its network, and ingest its way."""
        phases = self._scenario.phases
        calm = [n for n, p in enumerate(phases) if not p.offline and not p.ingest_stopped]
        return calm or list(range(len(phases)))

    def _of(
        self, name: str, numbers: list[int], span: tuple[float, float], receipt: Histogram
    ) -> PhaseReport:
        journal, joined = self._joined.journal, self._joined
        length_s = max(span[1] - span[0], 1e-9)
        due = (self._plan.act < Act.LEAVE) & np.isin(self._plan.phase, numbers)
        mine = np.isin(journal.phase, numbers)
        committed_s = joined.committed_at - self._starts_at
        stored = joined.is_stored & (committed_s >= span[0]) & (committed_s < span[1])
        return PhaseReport(
            name=name,
            from_s=span[0],
            until_s=span[1],
            offered_per_s=float(due.sum()) / length_s,
            sent_per_s=float((mine & (journal.sent_at > 0)).sum()) / length_s,
            stored_per_s=float(stored.sum()) / length_s,
            queryable=self.histogram(numbers).summary(),
            receipt=receipt.summary(),
        )

    def histogram(self, numbers: Sequence[int]) -> Histogram:
        """Return the times until envelopes of some phases were queryable."""
        found = Histogram()
        chosen = self._is_measured & np.isin(self._joined.journal.phase, list(numbers))
        found.record_all(self.queryable_s[chosen])
        return found

    def curve(self) -> list[tuple[float, float]]:
        """Return the time until queryable at many quantiles."""
        return self.histogram(self.calm()).curve([float(point) for point in _POINTS])

    def drain_s(self) -> float | None:
        """Return how long after the last outage all that was due in it was stored."""
        outages = [n for n, phase in enumerate(self._scenario.phases) if phase.offline]
        if not outages:
            return None
        ends_at = self._starts_at + float(self.edges[outages[-1] + 1])
        due = self._joined.is_stored & (self._joined.journal.due_at < ends_at)
        return max(0.0, float(self._joined.committed_at[due].max(initial=ends_at)) - ends_at)

    def per_second(self) -> dict[str, list[float]]:
        """Return what was due, sent and stored in each second, and the 99 % of its times."""
        journal, joined = self._joined.journal, self._joined
        last = max(
            float(self.edges[-1]),
            float((joined.committed_at - self._starts_at).max(initial=0.0)),
        )
        bins = np.arange(0, int(last) + 2)
        due = self._plan.at_s[self._plan.act < Act.LEAVE]
        stored = joined.is_stored
        committed_s = joined.committed_at[stored] - self._starts_at
        second = np.floor(journal.due_at - self._starts_at).astype(np.int64)
        return {
            "offered": np.histogram(due, bins)[0].tolist(),
            "sent": np.histogram(
                journal.sent_at[journal.sent_at > 0] - self._starts_at, bins
            )[0].tolist(),
            "stored": np.histogram(committed_s, bins)[0].tolist(),
            "p99": _p99_by(second[self._is_measured], self.queryable_s[self._is_measured],
                           len(bins) - 1),
        }  # fmt: skip


def _p99_by(second: np.typing.NDArray[np.int64], values: Any, count: int) -> list[float]:
    """Return the 99 % of *values* of each second; 0 where there are none."""
    order = np.argsort(second, kind="stable")
    bounds = np.searchsorted(second[order], np.arange(count + 1))
    ordered = values[order]
    return [
        float(np.quantile(ordered[a:b], 0.99)) if b > a else 0.0
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def measured(report: Report, limit: Limit) -> float | None:
    """Return the figure of *report* that *limit* is about; None when there is none."""
    phase = next((p for p in report.phases if p.name == limit.phase), report.overall)
    if limit.figure in phase.queryable:
        return phase.queryable[limit.figure]
    if limit.figure == "stored":
        # Not of what was due: without a lease nothing is measured, and so nothing sent.
        return phase.stored_per_s / phase.sent_per_s if phase.sent_per_s else None
    if limit.figure == "ceiling":
        return ceiling_of(report.phases, limit.phase)
    books = report.books
    if books is not None and limit.figure in (
        "lost", "doubled", "unbalanced", "in_flight", "unexpected"
    ):  # fmt: skip
        return float(getattr(books, limit.figure))
    return {
        "drain": report.drain_s,
        "withdrawal": report.withdrawn_late_s,
        "offered": report.generator.offered,
        "connected": report.connected / report.agents,
        "cpu_us": report.generator.cpu_us_per_envelope,
        "marginal_us": report.generator.marginal_us_per_envelope,
        "agent_kb": report.generator.idle_kb_per_agent,
        "ingest_mb": report.highest_mb.get("ingest"),
        "rows_after_withdrawal": report.rows_after_withdrawal,
    }.get(limit.figure)


def ceiling_of(phases: Sequence[PhaseReport], name: str | None = None) -> float | None:
    """
    Return ingest's ceiling while people withdraw as a share of its ceiling otherwise.

    Args:
        phases: Of a run; those before which ingest stood still count.

        name: Only this one of those with withdrawals.
    """
    found = [(p, p.ceiling_per_s) for p in phases if p.ceiling_per_s is not None]
    storms = [rate for p, rate in found if p.withdrawals and name in (None, p.name)]
    calms = [rate for p, rate in found if not p.withdrawals]
    if not storms or not calms:
        return None
    return float(np.mean(storms) / np.mean(calms))


def judge(report: Report, required: Sequence[Limit], failing: Sequence[Limit]) -> Report:
    """Return *report* with a verdict on what must hold, and on what must not."""
    verdicts = []
    for limit in required:
        found = measured(report, limit)
        verdicts.append(Verdict(limit.text, found, limit.holds(found)))
    for limit in failing:
        found = measured(report, limit)
        is_kept = found is not None and not limit.holds(found)
        verdicts.append(Verdict(f"not {limit.text}", found, is_kept))
    return msgspec.structs.replace(report, verdicts=verdicts)


def receipt_of(tally: Snapshot, numbers: Sequence[int]) -> Histogram:
    """Return the times until receipts of some phases."""
    whole = Histogram()
    for number in numbers:
        counts = tally.until_receipt.get(str(number), {})
        whole.add(Histogram({int(bucket): count for bucket, count in counts.items()}))
    return whole

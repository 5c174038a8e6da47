"""Figures of a run: times, rates and shares by phase, from both sides' records. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from simulators.fleet.report.accounting import Joined
from simulators.fleet.report.histogram import Histogram
from simulators.fleet.report.report import PhaseReport
from simulators.fleet.report.tally import TallySnapshot
from simulators.fleet.scenario.plan import Act, Plan
from simulators.fleet.scenario.scenario import Scenario

_MEASURED = [int(Act.SEND), int(Act.SEND_TWICE)]
"""The acts whose times are measured: acts that are not late on purpose."""
_POINTS = [*np.linspace(0, 0.9, 19), *(1 - 10.0 ** -np.linspace(1, 5, 33))]


class Spent(msgspec.Struct, frozen=True):
    """The processor time that each program had used at a moment."""

    at_s: float
    """In seconds from the start of the first phase."""
    cpu_s: dict[str, float]


class Figures:
    """
    Computes the figures of a run from the records of both sides.

    Args:
        scenario: The scenario that was played.

        plan: The acts that were due.

        joined: The outcome of each envelope.

        starts_at: When the first phase began, in seconds since 1970.

        spent: Processor time of each program, by time.
    """

    def __init__(
        self,
        scenario: Scenario,
        plan: Plan,
        joined: Joined,
        starts_at: float,
        spent: Sequence[Spent] = (),
    ) -> None:
        self._spent = spent
        self._scenario = scenario
        self._plan = plan
        self._joined = joined
        self._starts_at = starts_at
        self._is_measured = joined.is_stored & np.isin(joined.journal.act, _MEASURED)
        self.queryable_s = joined.committed_at - joined.journal.due_at
        self.edges = np.cumsum([0.0, *(phase.duration_s for phase in scenario.phases)])

    def phase(self, number: int, receipt: Histogram) -> PhaseReport:
        """Return the figures of phase *number*."""
        phase = self._scenario.phases[number]
        span = (float(self.edges[number]), float(self.edges[number + 1]))
        return msgspec.structs.replace(
            self._of(phase.name, [number], span, receipt),
            withdrawals=phase.withdrawals,
            ceiling_per_s=self._ceiling(number, span),
        )

    def _ceiling(self, number: int, span: tuple[float, float]) -> float | None:
        """
        Return how many envelopes of the backlog were settled a second; its start and end are
        excluded.
        """
        if not number or not self._scenario.phases[number - 1].ingest_stopped:
            return None
        begins_at = self._starts_at + span[0]
        joined = self._joined
        # Envelopes of people who have withdrawn are refused, which is work of ingest as well.
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
        """Return the phases in which every gateway had its network and ingest was running."""
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
            cpu=cores(self._spent, *span),
        )

    def histogram(self, numbers: Sequence[int]) -> Histogram:
        """Return the times from due to queryable of the envelopes of some phases."""
        found = Histogram()
        chosen = self._is_measured & np.isin(self._joined.journal.phase, list(numbers))
        found.record_all(self.queryable_s[chosen])
        return found

    @property
    def timed(self) -> int:
        """How many envelopes have a time from due to queryable."""
        return len(self.histogram(self.calm()))

    def curve(self) -> list[tuple[float, float]]:
        """
        Return the time from due to queryable at many quantiles.

        The last one leaves one envelope above it: further ones would repeat the longest time.
        """
        last = 1 - 1 / max(self.timed, 1)
        points = [*(float(point) for point in _POINTS if point < last), last]
        return self.histogram(self.calm()).curve(points)

    def drain_s(self) -> float | None:
        """Return how long after the last outage everything due in it was stored, in seconds."""
        outages = [n for n, phase in enumerate(self._scenario.phases) if phase.offline]
        if not outages:
            return None
        ends_at = self._starts_at + float(self.edges[outages[-1] + 1])
        due = self._joined.is_stored & (self._joined.journal.due_at < ends_at)
        return max(0.0, float(self._joined.committed_at[due].max(initial=ends_at)) - ends_at)

    def per_second(self) -> dict[str, list[float]]:
        """
        Return the envelopes due, sent and stored in each second, and the 99th percentile of the
        times.
        """
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
    """Return the 99th percentile of *values* for each second; 0 where there are none."""
    order = np.argsort(second, kind="stable")
    bounds = np.searchsorted(second[order], np.arange(count + 1))
    ordered = values[order]
    return [
        float(np.quantile(ordered[a:b], 0.99)) if b > a else 0.0
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def receipt_of(tally: TallySnapshot, numbers: Sequence[int]) -> Histogram:
    """Return the times from due to receipt of some phases."""
    whole = Histogram()
    for number in numbers:
        counts = tally.until_receipt.get(str(number), {})
        whole.add(Histogram({int(bucket): count for bucket, count in counts.items()}))
    return whole


def cores(spent: Sequence[Spent], from_s: float, until_s: float) -> dict[str, float]:
    """
    Return how many cores each program used between two instants.

    Between two entries of *spent* the use is interpolated linearly. A program that was not there
    from the first to the last entry is left out.
    """
    if not spent or until_s <= from_s:
        return {}
    at = [one.at_s for one in spent]
    names = [name for name in spent[0].cpu_s if all(name in one.cpu_s for one in spent)]
    return {
        name: float(np.diff(np.interp([from_s, until_s], at, [s.cpu_s[name] for s in spent]))[0])
        / (until_s - from_s)
        for name in names
    }

"""Verdicts: the figure that a limit names, and whether the limit was kept. Pure."""

from collections.abc import Sequence

import msgspec
import numpy as np

from simulators.fleet.report.report import FleetReport, PhaseReport, Verdict
from simulators.fleet.scenario.limits import Limit


def measured(report: FleetReport, limit: Limit) -> float | None:
    """Return the figure of *report* that *limit* names; None if it was not measured."""
    phase = next((p for p in report.phases if p.name == limit.phase), report.overall)
    if limit.figure in phase.queryable:
        return phase.queryable[limit.figure]
    if limit.figure == "stored":
        # Relative to what was sealed, not to what was due: without a lease nothing is measured or
        # sent.
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
    Return ingest's ceiling during withdrawals, as a share of its ceiling without them.

    Args:
        phases: The phases of a run; those count before which ingest was stopped.

        name: Only use this one of the phases with withdrawals; None for all.
    """
    found = [(p, p.ceiling_per_s) for p in phases if p.ceiling_per_s is not None]
    storms = [rate for p, rate in found if p.withdrawals and name in (None, p.name)]
    calms = [rate for p, rate in found if not p.withdrawals]
    if not storms or not calms:
        return None
    return float(np.mean(storms) / np.mean(calms))


def judge(report: FleetReport, required: Sequence[Limit], failing: Sequence[Limit]) -> FleetReport:
    """Return *report* with a verdict on each limit that must hold, or must not."""
    verdicts = []
    for limit in required:
        found = measured(report, limit)
        verdicts.append(Verdict(limit.text, found, limit.holds(found)))
    for limit in failing:
        found = measured(report, limit)
        is_kept = found is not None and not limit.holds(found)
        verdicts.append(Verdict(f"not {limit.text}", found, is_kept))
    return msgspec.structs.replace(report, verdicts=verdicts)

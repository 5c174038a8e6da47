"""The end of a run: journals, ledger and counters are combined into the report."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from simulators.fleet.errors import UnansweredError
from simulators.fleet.report import accounting as bookkeeping
from simulators.fleet.report import journal
from simulators.fleet.report.accounting import Accounting, Ingested, Joined
from simulators.fleet.report.figures import Figures, Spent, receipt_of
from simulators.fleet.report.ledger import Ledger, Rows, Settled
from simulators.fleet.report.report import FleetReport, Generator, UsageSample
from simulators.fleet.report.tally import TallySnapshot
from simulators.fleet.run.context import context_of
from simulators.fleet.run.site import Site
from simulators.fleet.scenario.plan import Plan
from simulators.fleet.scenario.scenario import Scenario


class Seen(msgspec.Struct, frozen=True):
    """The observations of a campaign. Instants in seconds since 1970."""

    began_at: float
    starts_at: float
    """When the first phase began, in seconds since 1970."""
    ramp_s: float
    settle_s: float
    connected: int
    workers: int
    tally: TallySnapshot
    ingested: Ingested
    withdrawn: Sequence[int]
    """Numbers of the gateways whose person withdrew."""
    withdrawn_late_s: float | None
    """How long after it was due the latest withdrawal took effect; None unless all did."""
    samples: list[UsageSample]
    highest_mb: dict[str, float]
    spent: list[Spent]
    """From the order to begin on."""
    notes: list[str]
    command: str = ""


def close(scenario: Scenario, plan: Plan, site: Site, folder: Path, seen: Seen) -> FleetReport:
    """
    Return the report of a run that has come to rest.

    Args:
        scenario: The scenario that was played.

        plan: The plan of the scenario.

        site: The system that was loaded.

        folder: The folder with the journals of the fleet's processes.

        seen: The observations of the campaign.
    """
    journals = sorted(folder.glob("journal-*.npz"))
    found, notes = journal.read(journals), list(seen.notes)
    joined, rows, late = _ask(scenario, site, folder, seen, found, notes)
    figures = Figures(scenario, plan, joined, seen.starts_at, seen.spent)
    books = None if rows is None else _books(joined, rows, seen)
    if len(journals) < seen.workers:
        # Without a journal, its gateways' rows in the database would look like rows that were
        # never sent.
        books = None
        notes.append(
            "the accounting cannot be closed, because a process of the fleet left no journal"
        )
    return FleetReport(
        scenario=scenario.name,
        about=scenario.about,
        seed=scenario.seed,
        plan=plan.digest,
        context=context_of(site, began_at=seen.began_at, command=seen.command),
        agents=scenario.agents,
        connected=seen.connected,
        enrolment_s=site.enrolment_s,
        ramp_s=seen.ramp_s,
        drain_s=None if rows is None else figures.drain_s(),
        settle_s=seen.settle_s,
        phases=[
            figures.phase(number, receipt_of(seen.tally, [number]))
            for number in range(len(scenario.phases))
        ],
        overall=figures.overall(receipt_of(seen.tally, figures.calm())),
        books=books,
        ingest=seen.ingested,
        generator=_generator(scenario, seen),
        links=seen.tally.ended,
        rows_after_withdrawal=late,
        withdrawals=len(seen.withdrawn),
        withdrawn_late_s=seen.withdrawn_late_s,
        highest_mb=seen.highest_mb,
        cpu_s={
            name: round(cpu_s - seen.spent[0].cpu_s[name], 2)
            for name, cpu_s in (seen.spent[-1].cpu_s if seen.spent else {}).items()
            if name in seen.spent[0].cpu_s
        },
        machine={"cores": os.cpu_count() or 0, "load_1min": os.getloadavg()[0]},
        notes=notes,
        verdicts=[],
        samples=seen.samples,
        per_second=figures.per_second(),
        curve=figures.curve(),
        timed=figures.timed,
    )


def _ask(
    scenario: Scenario,
    site: Site,
    folder: Path,
    seen: Seen,
    found: journal.Columns,
    notes: list[str],
) -> tuple[Joined, Rows | None, int | None]:
    """Return the outcome of each envelope, from the database or, without one, from receipts."""
    if site.dsn is None:
        notes.append("no database was named, so that receipts count as stored envelopes")
        return bookkeeping.by_receipts(found), None, None
    ledger = Ledger(site.dsn)
    try:
        settled = ledger.settled(_spools(site, folder), since=seen.began_at)
        if not settled.is_exact:
            notes.append("track_commit_timestamp is off, so that queryable means inserted")
        rows = ledger.rows(**_span(scenario, seen))
        late = ledger.rows_after_withdrawal() if seen.withdrawn else 0
    except UnansweredError as exc:
        notes.append(str(exc))
        nothing = np.zeros(0, np.int64)
        unknown = Settled(nothing, nothing, nothing, nothing, np.zeros(0), is_exact=False)
        return bookkeeping.join(found, unknown), None, None
    return bookkeeping.join(found, settled), rows, late


def _span(scenario: Scenario, seen: Seen) -> dict[str, float]:
    """Return the time span in which this run measured, by the slowest and the fastest clock."""
    slack_s = (
        scenario.every_s / min((p.rate for p in scenario.phases if p.rate), default=1.0)
        + scenario.clock_skew_s
        + 1
    )
    over_s = scenario.duration_s + seen.settle_s
    return {"since": seen.starts_at - slack_s, "until": seen.starts_at + over_s + slack_s}


def _spools(site: Site, folder: Path) -> dict[tuple[str, bytes], int]:
    """Return the roster number of each agent and spool."""
    return {
        (site.members[int(number)].agent, bytes.fromhex(spool)): int(number)
        for path in folder.glob("spools-*.json")
        for number, spool in msgspec.json.decode(path.read_bytes(), type=dict[str, str]).items()
    }


def _books(joined: Joined, rows: Rows, seen: Seen) -> Accounting:
    return bookkeeping.settle(
        joined,
        rows=rows,
        tally=seen.tally,
        ingested=seen.ingested,
        withdrawn=np.isin(joined.journal.agent, list(seen.withdrawn)),
    )


def _generator(scenario: Scenario, seen: Seen) -> Generator:
    more, lag = seen.tally.more, seen.tally.lag_histogram()
    published, due = seen.tally.published, more.get("due", 0.0)
    cpu_s, idle_cpu = more.get("cpu_s", 0.0), more.get("idle_cpu", 0.0)
    marginal_s = max(0.0, cpu_s - idle_cpu * scenario.duration_s)
    idle, connections = more.get("idle_bytes", 0.0), more.get("connections", 0.0)
    return Generator(
        workers=seen.workers,
        cpu_us_per_envelope=cpu_s / published * 1e6 if published else None,
        system_us_per_envelope=more.get("system_s", 0.0) / published * 1e6 if published else None,
        marginal_us_per_envelope=marginal_s / published * 1e6 if published else None,
        idle_cpu=idle_cpu,
        connecting_ms=more["connecting_s"] / connections * 1e3 if connections else None,
        idle_kb_per_agent=idle / 1024 / scenario.agents if idle else None,
        lag=lag.summary(),
        offered=lag.count_within(1.0) / due if due else 1.0,
    )

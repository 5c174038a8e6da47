"""The accounting of a fleet, and its report."""

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console

from simulators.fleet.output import page, view
from simulators.fleet.report import accounting
from simulators.fleet.report.accounting import Accounting, Ingested
from simulators.fleet.report.figures import Figures, Spent, cores
from simulators.fleet.report.histogram import Histogram
from simulators.fleet.report.journal import Columns, Journal
from simulators.fleet.report.ledger import Rows, Settled
from simulators.fleet.report.report import Context, FleetReport, Generator
from simulators.fleet.report.tally import Tally, TallySnapshot, sum_of
from simulators.fleet.report.verdicts import judge, measured
from simulators.fleet.scenario import limits, plan
from simulators.fleet.scenario.plan import Act
from simulators.fleet.scenario.scenario import Phase, Scenario

_DUE = 1000.0


def _journal(*acts: Act, settled: bool = True) -> Journal:
    journal = Journal()
    for sequence, act in enumerate(acts, start=1):
        place = journal.add(5, sequence, act, 0, _DUE + sequence, 3)
        journal.sent(place, _DUE + sequence)
        if settled:
            journal.settled(place, _DUE + sequence + 1)
    return journal


def _ledger(*rows: tuple[int, int, int, int]) -> Settled:
    """Rows of agent, sequence, outcome and observations, committed half a second after due."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return Settled(*columns[:4], committed_at=_DUE + columns[1] + 0.5, is_exact=True)  # type: ignore[misc]


def _books(
    journal: Columns, ledger: Settled, *, rows: int | None = None, withdrawn: bool = False
) -> Accounting:
    joined = accounting.join(journal, ledger)
    count = int(ledger.observations.sum()) if rows is None else rows
    return accounting.settle(
        joined,
        rows=Rows(count, count, 0),
        tally=TallySnapshot(published=len(journal)),
        ingested=Ingested(),
        withdrawn=np.full(len(journal), withdrawn),
    )


def test_all_stored_is_all_well() -> None:
    """If every sealed envelope is stored once, everything balances."""
    found = _books(_journal(Act.SEND, Act.SEND).columns(), _ledger((5, 1, 0, 3), (5, 2, 0, 3)))
    assert (found.sealed, found.stored, found.lost, found.doubled) == (2, 2, 0, 0)
    assert (found.unbalanced, found.unexpected, found.in_flight) == (0, 0, 0)


def test_a_receipt_without_a_row_is_a_loss() -> None:
    """An envelope with a receipt and without a row is lost."""
    found = _books(_journal(Act.SEND, Act.SEND).columns(), _ledger((5, 1, 0, 3)))
    assert (found.lost, found.lost_envelopes, found.in_flight) == (1, 1, 0)
    assert found.unbalanced == 0


def test_without_receipt_and_row_it_is_in_flight() -> None:
    """An envelope without a receipt and without a row is in flight."""
    found = _books(_journal(Act.SEND, settled=False).columns(), _ledger())
    assert (found.lost, found.in_flight) == (0, 1)


def test_fewer_rows_than_the_ledger_says_are_a_loss() -> None:
    """Fewer rows than the ledger's count are a loss."""
    found = _books(_journal(Act.SEND).columns(), _ledger((5, 1, 0, 3)), rows=2)
    assert (found.lost, found.doubled) == (1, 0)


def test_more_rows_than_the_ledger_says_are_doubled() -> None:
    """More rows than the ledger's count are doubled observations."""
    found = _books(_journal(Act.SEND).columns(), _ledger((5, 1, 0, 3)), rows=4)
    assert (found.lost, found.doubled) == (0, 1)


def test_fewer_observations_than_sealed_are_a_loss() -> None:
    """A stored envelope with fewer observations than were sealed is a loss."""
    found = _books(_journal(Act.SEND).columns(), _ledger((5, 1, 0, 2)))
    assert (found.lost, found.lost_envelopes) == (1, 0)


def test_what_nobody_sealed_is_unknown() -> None:
    """A ledger row with an unused sequence breaks the accounting."""
    found = _books(
        _journal(Act.SEND).columns(), _ledger((5, 1, 0, 3), (5, 9, 1, 0), (-1, 1, 1, 0))
    )
    assert (found.unknown, found.unbalanced) == (2, 2)


@pytest.mark.parametrize(
    ("act", "outcome", "unexpected"),
    [
        (Act.SEND, 0, 0),
        (Act.SEND, 1, 1),
        (Act.SEND, 2, 1),
        (Act.IMPLAUSIBLE, 1, 0),
        (Act.IMPLAUSIBLE, 0, 1),
        (Act.IMPLAUSIBLE, 2, 1),
        (Act.SEND_TWICE, 0, 0),
    ],
)
def test_each_is_settled_as_it_deserves(act: Act, outcome: int, unexpected: int) -> None:
    """Honest envelopes must be stored, and hostile ones refused."""
    count = 3 if outcome == 0 else 0
    found = _books(_journal(act).columns(), _ledger((5, 1, outcome, count)))
    assert found.unexpected == unexpected


def test_who_withdrew_may_be_refused() -> None:
    """An envelope that was under way when its person withdrew may be refused."""
    found = _books(_journal(Act.SEND).columns(), _ledger((5, 1, 1, 0)), withdrawn=True)
    assert (found.unexpected, found.withdrawn) == (0, 1)


def test_a_purge_is_no_loss() -> None:
    """
    Envelopes that were dropped unsent after the lease had ended count as purged, and not
    as lost.
    """
    journal = _journal(Act.SEND, settled=False)
    journal.purged(0)
    found = _books(journal.columns(), _ledger())
    assert (found.purged, found.in_flight, found.lost) == (1, 0, 0)


def test_what_ingest_cannot_account_for_unbalances() -> None:
    """A received envelope without an outcome in ingest's counters breaks the accounting."""
    ingested = Ingested(received=5, stored=3, duplicates=1)
    assert ingested.missing == 1
    joined = accounting.join(_journal(Act.SEND).columns(), _ledger((5, 1, 0, 3)))
    found = accounting.settle(joined, rows=None, tally=TallySnapshot(), ingested=ingested,
                         withdrawn=np.array([False]))  # fmt: skip
    assert found.unbalanced == 1


def test_without_a_database_receipts_count() -> None:
    """Without a database, envelopes with a receipt count as stored at the time of the receipt."""
    joined = accounting.by_receipts(_journal(Act.SEND).columns())
    assert joined.is_stored.tolist() == [True]
    assert joined.committed_at.tolist() == [_DUE + 2]


def _scenario(**changes: object) -> Scenario:
    scenario = Scenario(
        name="<x>", agents=10, every_s=1.0, phases=[Phase(name="a", duration_s=10)],
        limits=["lost=0"], quantities={"heart_rate": 1.0},
    )  # fmt: skip
    return msgspec.structs.replace(scenario, **changes)


def _report() -> FleetReport:
    scenario = _scenario()
    journal = _journal(Act.SEND, Act.SEND, Act.SEND_LATE).columns()
    ledger = _ledger((5, 1, 0, 3), (5, 2, 0, 3), (5, 3, 0, 3))
    joined = accounting.join(journal, ledger)
    figures = Figures(scenario, plan.draw(scenario), joined, _DUE)
    return FleetReport(
        scenario=scenario.name, about="a & b", seed=1, plan="00",
        context=Context("2026-06-01T00:00:00Z", "2026-06-01T00:01:00Z", "vitalveil <fleet>",
                        {"VitalVeil": "1.2.3"}, "Linux, 2 cores"),
        agents=10, connected=9,
        enrolment_s=None, ramp_s=1.0, drain_s=figures.drain_s(), settle_s=1.0,
        phases=[figures.phase(0, Histogram())], overall=figures.overall(Histogram()),
        books=_books(journal, ledger), ingest=Ingested(refused_by_reason={"withdrawn": 1}),
        generator=Generator(1, 20.0, 8.0, 15.0, 0.01, 1.5, None, Histogram().summary(), 0.5),
        links={"tls": 2}, rows_after_withdrawal=None, withdrawals=0, withdrawn_late_s=None,
        highest_mb={"ingest": 80.0},
        cpu_s={"fleet": 1.0},
        machine={"cores": 2}, notes=["<script>"], verdicts=[], samples=[],
        per_second=figures.per_second(), curve=figures.curve(),
        timed=figures.timed,
    )  # fmt: skip


def test_times_count_from_when_an_envelope_was_due() -> None:
    """
    Times count from when an envelope was due; envelopes that are late on purpose are
    excluded.
    """
    report = _report()
    assert report.phases[0].queryable["p99"] == pytest.approx(0.5, rel=0.01)
    assert sum(report.per_second["stored"]) == 3
    assert sum(report.per_second["offered"]) == 100
    assert report.phases[0].offered_per_s == 10
    assert report.phases[0].stored_per_s == 0.3


@pytest.mark.parametrize(
    ("text", "value"),
    [("lost=0", 0.0), ("connected>=90%", 0.9), ("cpu_us<=25", 20.0), ("agent_kb<=30", None),
     ("ingest_mb<=100", 80.0), ("offered>=99%", 0.5), ("p50@a<=1s", 0.5), ("drain<=1s", None),
     ("rows_after_withdrawal=0", None), ("stored>=80%", 1.0), ("marginal_us<=25", 15.0),
     ("withdrawal<=60s", None)],
)  # fmt: skip
def test_every_figure_is_found(text: str, value: float | None) -> None:
    """Each limit is compared with its figure, which is None if it was not measured."""
    found = measured(_report(), limits.parse(text))
    assert found == (None if value is None else pytest.approx(value, rel=0.01))


def test_a_curve_ends_where_the_envelopes_end() -> None:
    """A share above the last envelope but one would only repeat the longest time."""
    report = _report()
    assert report.timed == 2
    assert max(share for share, _ in report.curve) == 0.5


def test_verdicts_gate() -> None:
    """A broken or unmeasured limit fails the run, and so does a `--fail-if` that holds."""
    report = judge(_report(), [limits.parse("lost=0")], [limits.parse("p99>1s")])
    assert report.is_good
    for required, failing in [("p99<=100ms", None), ("drain<=1s", None), (None, "p99>100ms"),
                              (None, "drain>1s")]:  # fmt: skip
        found = judge(
            _report(),
            [limits.parse(required)] if required else [],
            [limits.parse(failing)] if failing else [],
        )
        assert not found.is_good


def test_a_phase_shows_what_each_program_used_in_it() -> None:
    """
    A phase's cores are interpolated between samples; a program that appears later is
    omitted.
    """
    spent = [
        Spent(-3.0, {"ingest": 10.0, "fleet": 1.0}),
        Spent(1.0, {"ingest": 10.0, "fleet": 3.0, "late": 1.0}),
        Spent(3.0, {"ingest": 11.0, "fleet": 4.0, "late": 2.0}),
    ]
    assert cores(spent, 0.0, 2.0) == pytest.approx({"ingest": 0.25, "fleet": 0.5})
    assert cores(spent, 1.0, 3.0) == pytest.approx({"ingest": 0.5, "fleet": 0.5})
    assert cores([], 0.0, 2.0) == cores(spent, 2.0, 2.0) == {}


def test_the_page_and_the_terminal_show_where_a_phase_costs() -> None:
    """
    Page and terminal show the cores of each program by phase; without samples there is
    no table.
    """
    report = _report()
    assert "Cores used" not in page.render(report)
    seen = msgspec.structs.replace(report.overall, cpu={"trust shells": 0.123})
    found = msgspec.structs.replace(report, overall=seen)
    assert "<h2>Cores used, by phase</h2>" in page.render(found)
    assert '>overall</td><td data-name="trust shells">0.12</td>' in page.render(found)
    console = Console(file=io.StringIO(), width=120)
    console.print(view.render_report(found))
    assert isinstance(console.file, io.StringIO)
    assert "trust shells" in console.file.getvalue()


def test_the_generator_owns_up() -> None:
    """If the generator did not keep its schedule, the report says so."""
    assert _report().generator.was_the_limit
    assert b'"was_the_limit": true' in _report().to_json().encode()


def test_page_needs_nothing_and_quotes_everything() -> None:
    """The page loads nothing, and escapes all text of a run."""
    found = page.render(judge(_report(), [limits.parse("p99<=100ms")], []))
    assert "<script" not in found
    assert "src=" not in found
    assert "&lt;script&gt;" in found
    assert "a &amp; b" in found
    assert 'class="broken"' in found


def test_drain_counts_from_the_end_of_the_outage() -> None:
    """The drain time ends when everything that was due before the end of the outage is stored."""
    phases = [Phase(name="away", duration_s=2, offline=1), Phase(name="back", duration_s=8)]
    joined = accounting.join(_journal(Act.SEND, Act.SEND).columns(),
                        _ledger((5, 1, 0, 3), (5, 2, 0, 3)))  # fmt: skip
    late = msgspec.structs.replace(joined, committed_at=np.array([_DUE + 6, _DUE + 9]))
    scenario = _scenario(phases=phases)
    # The second envelope was due at the end of the outage, and so is not part of it.
    assert Figures(scenario, plan.draw(scenario), late, _DUE).drain_s() == pytest.approx(4)


def test_tallies_of_processes_add_up() -> None:
    """The counters and histograms of several processes are added."""
    parts = []
    for seconds in (0.1, 0.2):
        tally = Tally()
        tally.published = 3
        tally.ended["tls"] += 1
        tally.settled_one(0, seconds)
        parts.append(tally.snapshot(waiting=1.0))
    found = sum_of(parts)
    assert (found.published, found.ended, found.more) == (6, {"tls": 2}, {"waiting": 2.0})
    assert len(found.receipt_histogram()) == 2

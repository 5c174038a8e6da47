"""The pause of ingest, and the ceiling that the backlog shows."""

import asyncio
import signal
import time

import numpy as np
import pytest

from simulators.fleet.report import accounting
from simulators.fleet.report.figures import Figures
from simulators.fleet.report.histogram import Histogram
from simulators.fleet.report.journal import Journal
from simulators.fleet.report.ledger import Settled
from simulators.fleet.report.report import PhaseReport
from simulators.fleet.report.verdicts import ceiling_of
from simulators.fleet.run.ingest_pause import IngestPause
from simulators.fleet.scenario import limits, plan
from simulators.fleet.scenario.plan import Act
from simulators.fleet.scenario.scenario import Phase, Scenario

_AT = 1000.0
_ROUND = [
    Phase(name="gather", duration_s=10, ingest_stopped=True),
    Phase(name="calm", duration_s=10),
]


def _scenario(phases: list[Phase]) -> Scenario:
    return Scenario(name="x", agents=10, every_s=1.0, phases=phases, limits=["lost=0"],
                    quantities={"heart_rate": 1.0})  # fmt: skip


def _figures(committed_s: list[float], due_s: list[float]) -> Figures:
    """The figures of a round with envelopes that were due and committed at these seconds."""
    scenario, journal = _scenario(_ROUND), Journal()
    for sequence, due in enumerate(due_s, start=1):
        place = journal.add(0, sequence, Act.SEND, 0, _AT + due, 1)
        journal.sent(place, _AT + due)
    count = len(due_s)
    ledger = Settled(
        np.zeros(count, np.int64), np.arange(1, count + 1), np.zeros(count, np.int64),
        np.ones(count, np.int64), np.array(committed_s) + _AT, is_exact=True,
    )  # fmt: skip
    joined = accounting.join(journal.columns(), ledger)
    return Figures(scenario, plan.draw(scenario), joined, _AT)


def test_a_ceiling_is_taken_in_the_thick_of_a_backlog() -> None:
    """The ceiling is the rate in the middle of the backlog, without its start and end."""
    begins, thick, trickles = np.linspace(10.1, 11.9, 20), np.linspace(12, 14, 201), [15.0] * 20
    committed = [*begins.tolist(), *thick.tolist(), *trickles]
    found = _figures(committed, np.linspace(0, 9, 241).tolist()).phase(1, Histogram())
    assert found.ceiling_per_s == pytest.approx(100, rel=0.02)


def test_what_is_due_later_is_no_backlog() -> None:
    """Envelopes that were due in the phase itself do not count for the ceiling."""
    gathered, later = np.linspace(11, 12, 101).tolist(), np.linspace(13, 19, 50).tolist()
    figures = _figures(gathered + later, [*[5.0] * 101, *later])
    assert figures.phase(1, Histogram()).ceiling_per_s == pytest.approx(100, rel=0.02)
    assert figures.phase(0, Histogram()).ceiling_per_s is None
    assert figures.calm() == [1]


def test_a_round_in_which_nothing_was_stored_has_no_ceiling() -> None:
    """A round in which nothing was stored has no ceiling."""
    assert _figures([25.0], [1.0]).phase(1, Histogram()).ceiling_per_s is None


def _phase(name: str, ceiling_per_s: float | None, withdrawals: int) -> PhaseReport:
    return PhaseReport(name, 0, 1, 0, 0, 0, {}, {}, withdrawals, ceiling_per_s)


@pytest.mark.parametrize(
    ("text", "value"),
    [("ceiling>=80%", 0.85), ("ceiling@one>=80%", 0.9), ("ceiling@calm>=80%", None)],
)
def test_storms_are_set_against_calms(text: str, value: float | None) -> None:
    """The figure is the mean ceiling with withdrawals divided by the mean without."""
    phases = [
        _phase("calm", 1100.0, 0), _phase("gather", None, 9), _phase("one", 900.0, 5),
        _phase("two", 800.0, 5), _phase("calm-2", 900.0, 0),
    ]  # fmt: skip
    assert ceiling_of(phases, limits.parse(text).phase) == (
        None if value is None else pytest.approx(value)
    )


def _play(phases: list[Phase], pids: list[int]) -> tuple[list[int], list[str]]:
    sent: list[int] = []
    notes: list[str] = []

    def send(_pid: int, number: int) -> None:
        if len(pids) > 1:
            raise ProcessLookupError
        sent.append(number)

    still = IngestPause(_scenario(phases), pids, note=notes.append, send=send)
    asyncio.run(still.play(time.time()))
    return sent, notes


def test_it_stands_still_where_the_scenario_says_so() -> None:
    """Ingest is stopped once for two adjacent phases, and continued in the next."""
    stands = [False, True, True, False, True]
    phases = [
        Phase(name=f"p{number}", duration_s=0.1, ingest_stopped=stopped)
        for number, stopped in enumerate(stands)
    ]
    sent, notes = _play(phases, [7])
    assert sent == [signal.SIGSTOP, signal.SIGCONT] * 2
    assert notes == []


def test_it_goes_on_whatever_ends_the_run() -> None:
    """If the run is cancelled, ingest is continued."""

    async def run() -> list[int]:
        sent: list[int] = []
        begun = asyncio.Event()

        def send(_pid: int, number: int) -> None:
            sent.append(number)
            begun.set()

        phase = Phase(name="s", duration_s=20, ingest_stopped=True)
        still = IngestPause(_scenario([phase]), [7], note=lambda _: None, send=send)
        task = asyncio.create_task(still.play(time.time()))
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return sent

    assert asyncio.run(run()) == [signal.SIGSTOP, signal.SIGCONT]


@pytest.mark.parametrize(("pids", "said"), [([], "not ours"), ([1, 2], "has ended")])
def test_ingest_that_cannot_be_stopped_is_told(pids: list[int], said: str) -> None:
    """If ingest cannot be stopped, a note says so."""
    _, notes = _play([Phase(name="s", duration_s=0.1, ingest_stopped=True)], pids)
    assert said in notes[0]

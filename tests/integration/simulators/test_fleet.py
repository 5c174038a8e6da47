"""A fleet on the whole system: two hundred gateways, every kind of fault, and exact accounting."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from simulators.cli import main
from simulators.fleet.report.report import FleetReport
from simulators.fleet.run.campaign import Campaign, CampaignOptions, Progress
from simulators.fleet.run.site import Site, own_site
from simulators.fleet.scenario import limits, plan, scenario_file
from simulators.fleet.scenario.plan import Plan
from simulators.fleet.scenario.roster import write
from simulators.fleet.scenario.scenario import Network, Phase, Scenario

pytestmark = [
    pytest.mark.broker,
    pytest.mark.database,
    pytest.mark.slow,
    # The time of the first test includes starting the system and enrolling a fleet.
    pytest.mark.timeout(600),
]

_SCENARIO = Scenario(
    name="small",
    agents=200,
    every_s=2.0,
    quantities={"heart_rate": 0.5},
    ramp_s=2.0,
    settle_s=60.0,
    phases=[Phase(name="all", duration_s=1.0)],
    limits=["lost=0"],
)
_KEPT = ["lost=0", "doubled=0", "unbalanced=0", "in_flight=0", "unexpected=0"]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A system with two hundred agents that all tests share; each test uses new spools."""
    with own_site(_SCENARIO, say=lambda _: None) as found:
        yield found


def _play(
    site: Site,
    *phases: Phase,
    todo: Plan | None = None,
    agents: int = 200,
    workers: int = 1,
    settle_s: float = 60.0,
    show: Callable[[Progress], None] = lambda _: None,
) -> FleetReport:
    scenario = msgspec.structs.replace(_SCENARIO, phases=list(phases), agents=agents,
                                        settle_s=settle_s)  # fmt: skip
    campaign = Campaign(
        scenario,
        todo or plan.draw(scenario),
        site,
        CampaignOptions(workers=workers, required=[limits.parse(text) for text in _KEPT],
                resend_after_s=3.0),
        say=lambda _: None,
        show=show,
    )  # fmt: skip
    return asyncio.run(campaign.run())


def _broken(report: FleetReport) -> list[str]:
    return [verdict.text for verdict in report.verdicts if not verdict.is_kept]


def test_a_steady_fleet_is_stored_to_the_last_reading(site: Site) -> None:
    """Two hundred gateways connect and send on schedule, and every reading is stored once."""
    report = _play(site, Phase(name="steady", duration_s=6.0), workers=2)
    assert _broken(report) == []
    assert report.connected == 200
    assert report.books is not None
    assert report.books.stored == report.books.sealed == 600
    assert report.books.observations_stored == report.books.observations_sealed > 2000
    assert report.overall.queryable["p99"] is not None
    assert report.generator.cpu_us_per_envelope is not None
    assert report.generator.system_us_per_envelope is not None
    programs = {"broker", "ingest", "trust", "trust shells", "database", "fleet", "bench"}
    assert set(report.highest_mb) == set(report.cpu_s) == set(report.phases[0].cpu) == programs
    assert report.phases[0].cpu["ingest"] > 0
    assert 0 < report.generator.system_us_per_envelope < report.generator.cpu_us_per_envelope


def test_a_fleet_that_misbehaves_is_settled_as_it_deserves(site: Site) -> None:
    """
    Duplicate, late, corrupt and hostile envelopes, churn, an outage and slow readers are all
    accounted for.
    """
    report = _play(
        site,
        Phase(name="bad", duration_s=5.0, duplicates=0.1, reordered=0.1, corrupt=0.05,
              hostile=0.2, churn_per_min=120, slow=0.05),
        Phase(name="away", duration_s=3.0, offline=0.5, return_within_s=1.0),
        Phase(name="back", duration_s=3.0),
    )  # fmt: skip
    assert _broken(report) == []
    assert report.books is not None
    assert report.books.duplicates > 10
    assert report.books.refused > 10
    assert report.books.nameless > 10
    assert report.books.denied > 0
    assert report.drain_s is not None
    assert {"churned", "left"} <= set(report.links)


def test_a_bad_network_loses_and_doubles_nothing(site: Site) -> None:
    """
    Delay, stalls, low bandwidth, resets and half-open connections cost time, and lose or double
    nothing.
    """
    report = _play(
        site,
        Phase(name="slow", duration_s=3.0, network=Network(latency_ms=50, jitter_ms=50, stall=0.05,
                                                           stall_ms=500, kbit_per_s=64)),
        Phase(name="cut", duration_s=4.0, network=Network(latency_ms=5, cut_every_s=1)),
        Phase(name="vanish", duration_s=3.0, network=Network(vanish_every_s=1)),
        Phase(name="good", duration_s=2.0),
        agents=60,
    )  # fmt: skip
    assert _broken(report) == []
    assert report.links.get("reset", 0) + report.links.get("closed", 0) > 5
    slow = report.phases[0].queryable["p50"]
    assert slow is not None
    assert slow > 0.05


def test_a_recorded_plan_is_played_again(site: Site, tmp_path: Path) -> None:
    """A recorded plan gives a run with the same acts at the same times."""
    scenario = msgspec.structs.replace(
        _SCENARIO, agents=20, phases=[Phase(name="a", duration_s=2.0, hostile=0.2)]
    )
    plan.draw(scenario).write(tmp_path / "plan.npz")
    kept = plan.read(tmp_path / "plan.npz")
    reports = [_play(site, *scenario.phases, todo=kept, agents=20) for _ in range(2)]
    assert reports[0].plan == reports[1].plan == kept.digest
    books = [report.books for report in reports]
    assert books[0] is not None
    assert books[1] is not None
    assert books[0].sealed == books[1].sealed


def test_an_unreachable_broker_gives_a_report_and_no_traceback(
    site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With an unreachable broker the run ends with a report and the exit code for broken
    limits.
    """
    monkeypatch.setattr("simulators.fleet.run.campaign._RAMP_PATIENCE_S", 0.0)
    roster, out = tmp_path / "roster.jsonl", tmp_path / "report.json"
    write(roster, site.members[:5])
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "name: nobody\nagents: 5\nevery_s: 1\nramp_s: 1\nsettle_s: 1\n"
        "quantities: {heart_rate: 1}\nphases: [{name: a, duration_s: 2}]\n"
        "limits: [in_flight=0, connected>=100%]\n"
    )
    code = main(["fleet", str(scenario), "--broker", "127.0.0.1:9", "--roster", str(roster),
                 "--json", str(out)])  # fmt: skip
    assert code == 1
    found = json.loads(out.read_text())
    assert found["connected"] == 0
    assert any(kind.startswith("unreachable") for kind in found["links"])
    assert "Traceback" not in capfd.readouterr().err


def test_withdrawals_under_load_leave_no_row(site: Site) -> None:
    """
    While a fleet sends and people withdraw, no row of theirs is committed after their
    withdrawal.
    """
    report = _play(site, Phase(name="storm", duration_s=6.0, withdrawals=40))
    assert _broken(report) == []
    assert report.withdrawals == 40
    assert report.rows_after_withdrawal == 0
    assert report.books is not None
    assert report.books.stored > 400


class _Pause:
    """Stops a process for some seconds of a run's first phase."""

    def __init__(self, pid: Callable[[], int], *, from_s: float, until_s: float) -> None:
        self._pid = pid
        self._from_s = from_s
        self._until_s = until_s
        self._stopped: int | None = None

    def __call__(self, now: Progress) -> None:
        if self._stopped is None and self._from_s <= now.elapsed_s and now.phase != "connecting":
            self._stopped = self._pid()
            os.kill(self._stopped, signal.SIGSTOP)
        elif self._stopped and now.elapsed_s >= self._until_s:
            os.kill(self._stopped, signal.SIGCONT)
            self._stopped = 0


def _worker() -> int:
    """Return the process that plays the gateways."""
    return next(
        child.pid for child in psutil.Process().children()
        if "simulators.fleet.run.worker" in child.cmdline()
    )  # fmt: skip


def test_a_system_that_stands_still_does_not_slow_the_offer(site: Site) -> None:
    """
    While ingest is stopped, the plan continues, and the latencies of everything due show
    the stop.
    """
    pause = _Pause(lambda: site.pids["ingest"][0], from_s=1.0, until_s=4.0)
    report = _play(site, Phase(name="a", duration_s=8.0), agents=50, show=pause)
    assert _broken(report) == []
    assert report.generator.offered >= 0.99
    assert not report.generator.was_the_limit
    slowest, p90 = report.overall.queryable["max"], report.overall.queryable["p90"]
    assert slowest is not None
    assert p90 is not None
    assert slowest > 2.0
    # All envelopes that were due are late, not one for each gateway, as in a closed loop.
    assert p90 > 0.5


def test_a_generator_that_stands_still_owns_up(site: Site) -> None:
    """
    If the generator itself stops for seconds, nothing is lost, and the report names the
    generator's lag.
    """
    pause = _Pause(_worker, from_s=1.0, until_s=4.0)
    report = _play(site, Phase(name="a", duration_s=8.0), agents=50, show=pause)
    assert _broken(report) == []
    assert report.generator.offered < 0.95
    assert report.generator.was_the_limit
    latest = report.generator.lag["max"]
    assert latest is not None
    assert latest > 2.0


def test_a_generator_that_dies_leaves_no_books(site: Site) -> None:
    """
    Without the journal of a killed generator the report says that nothing is known, and no limit
    holds.
    """
    killed: list[int] = []

    def kill(now: Progress) -> None:
        if not killed and now.elapsed_s >= 1.0 and now.phase == "a":
            killed.append(_worker())
            os.kill(killed[0], signal.SIGKILL)

    report = _play(site, Phase(name="a", duration_s=30.0), agents=20, show=kill)
    assert any("A process of the fleet ended" in note for note in report.notes)
    assert any("left no journal" in note for note in report.notes)
    assert report.books is None
    assert set(_broken(report)) == set(_KEPT)


def test_ready_scenarios_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The ready scenarios can be listed."""
    assert main(["fleet", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in scenario_file.ready_names())


def test_a_broker_that_dies_is_reported(site: Site) -> None:
    """
    If the broker ends, the run continues to its end and is reported. This test must remain the
    last.
    """
    broker = site.pids["broker"][0]
    killing = threading.Timer(8.0, os.kill, [broker, signal.SIGKILL])
    killing.start()
    report = _play(site, Phase(name="a", duration_s=12.0), agents=20, settle_s=2.0)
    killing.join()
    assert any(note.startswith("broker ended") for note in report.notes)
    assert report.books is not None
    assert report.books.stored > 0
    assert report.books.in_flight > 0
    assert report.books.lost == 0
    assert "in_flight=0" in _broken(report)
    assert sum(report.links.values()) >= 20

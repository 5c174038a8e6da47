"""
A campaign: runs a fleet against a system, watches both, lets them settle, and accounts for all.

The run always ends with a report, whatever the system does.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from simulators.fleet.errors import WorkerEnded
from simulators.fleet.report.report import FleetReport
from simulators.fleet.report.tally import TallySnapshot
from simulators.fleet.report.verdicts import judge
from simulators.fleet.run.closing import Seen, close
from simulators.fleet.run.ingest_pause import IngestPause
from simulators.fleet.run.meter import Use
from simulators.fleet.run.network_conditions import NetworkConditions
from simulators.fleet.run.process_monitor import ProcessMonitor
from simulators.fleet.run.site import Site
from simulators.fleet.run.withdrawals import Withdrawals
from simulators.fleet.run.worker_pool import WorkerPool
from simulators.fleet.scenario import roster
from simulators.fleet.scenario.job import Job
from simulators.fleet.scenario.limits import Limit
from simulators.fleet.scenario.plan import Plan
from simulators.fleet.scenario.scenario import Scenario
from simulators.stack.network import Relay

_TICK_S: Final = 1.0
_LEAD_S: Final = 3.0
"""
The time from the command to begin until the first phase, in seconds. It is long enough for every
process to receive the command, and to measure the idle cost.
"""
_RAMP_PATIENCE_S: Final = 180.0


class CampaignOptions(msgspec.Struct, frozen=True):
    """What the user chose besides the scenario."""

    workers: int = 1
    required: Sequence[Limit] = ()
    failing: Sequence[Limit] = ()
    command: str = ""
    """The command of the run, for its report."""
    resend_after_s: float = 30.0
    state_every_s: float = 30.0


class Progress(msgspec.Struct, frozen=True):
    """The state of a run while it goes."""

    elapsed_s: float
    phase: str
    tally: TallySnapshot
    stored: int
    uses: dict[str, Use]


class Campaign:
    """
    One run.

    Args:
        scenario: What to play.

        todo: The plan of the scenario, drawn or recorded.

        site: The system that is loaded.

        options: What the user chose.

        say: Called with a line for each step.

        show: Called with the progress, once a second.
    """

    def __init__(
        self,
        scenario: Scenario,
        todo: Plan,
        site: Site,
        options: CampaignOptions,
        *,
        say: Callable[[str], None],
        show: Callable[[Progress], None],
    ) -> None:
        self._scenario = scenario
        self._plan = todo
        self._site = site
        self._options = options
        self._say = say
        self._show = show
        self._folder = site.folder / "fleet-run"
        self._notes: list[str] = []
        self._connected = 0
        self._withdrawals = Withdrawals(todo, site, note=self._note)
        self._monitor = ProcessMonitor({}, None)
        self._tally = TallySnapshot()
        self._ramp_s = 0.0
        self._settle_s = 0.0
        self._began_at = time.time()
        self._starts_at = self._began_at

    async def run(self) -> FleetReport:
        """Play the plan to its end; return the report."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for old in self._folder.glob("*-*.*"):
            # From an earlier run on the same site, perhaps with more processes.
            old.unlink()
        with self._network() as relay:
            port = self._site.port if relay is None else relay.port
            pool = WorkerPool(self._jobs(port), log=self._folder / "fleet.log")
            await pool.start()
            pids = {**self._site.pids, "fleet": pool.pids, "bench": [os.getpid()]}
            self._monitor = ProcessMonitor(pids, self._site.ingest_port)
            try:
                await self._play(pool, relay)
            except WorkerEnded as exc:
                self._note(str(exc))
            finally:
                self._tally = await self._bring_home(pool, relay)
        self._say("closing the accounting")
        return await asyncio.to_thread(self._close)

    async def _bring_home(self, pool: WorkerPool, relay: Relay | None) -> TallySnapshot:
        try:
            # The last receipts must not be lost to a network that the scenario has made bad.
            if relay is not None:
                relay.release()
        finally:
            last = await pool.finish()
        return last

    @contextlib.contextmanager
    def _network(self) -> Iterator[Relay | None]:
        if not self._scenario.has_network:
            yield None
            return
        with Relay(self._site.port, seed=self._scenario.seed) as relay:
            yield relay

    def _jobs(self, port: int) -> list[Job]:
        members, todo = self._folder / "roster.jsonl", self._folder / "plan.npz"
        roster.write(members, self._site.members)
        self._plan.write(todo)
        return [
            Job(
                scenario=self._scenario,
                number=number,
                workers=self._options.workers,
                host=self._site.host,
                port=port,
                roster=str(members),
                plan=str(todo),
                folder=str(self._folder),
                resend_after_s=self._options.resend_after_s,
                state_every_s=self._options.state_every_s,
            )
            for number in range(self._options.workers)
        ]

    async def _play(self, pool: WorkerPool, relay: Relay | None) -> None:
        await self._ramp(pool)
        await asyncio.to_thread(self._monitor.scrape)
        self._starts_at = time.time() + _LEAD_S
        pool.go(self._starts_at)
        await self._monitor.begin(self._starts_at)
        leaving = asyncio.create_task(self._withdrawals.run(self._starts_at), name="withdrawals")
        beside = [leaving]
        if relay is not None:
            conditions = NetworkConditions(self._scenario, relay)
            beside.append(asyncio.create_task(conditions.play(self._starts_at), name="network"))
        if self._scenario.has_ingest_pause:
            pause = IngestPause(self._scenario, self._site.pids.get("ingest", []), note=self._note)
            beside.append(asyncio.create_task(pause.play(self._starts_at), name="pause"))
        try:
            await self._watch(pool)
            await self._withdrawals.finish(leaving, patience_s=self._scenario.settle_s)
            await self._come_to_rest(pool)
        finally:
            for task in beside:
                task.cancel()
            for outcome in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(outcome, Exception):
                    self._note(f"a part of the run failed ({type(outcome).__name__})")

    async def _ramp(self, pool: WorkerPool) -> None:
        """Wait until every gateway is connected and has its lease, or time is up."""
        self._say(f"connecting {self._scenario.agents} gateways")
        began = time.monotonic()
        patience_s = self._scenario.ramp_s + _RAMP_PATIENCE_S
        while (took := time.monotonic() - began) < patience_s:
            found = pool.snapshot()
            self._connected = max(self._connected, found.online)
            self._ramp_s = took
            ready = min(found.online, int(found.more.get("leased", 0)))
            if ready >= self._scenario.agents:
                return
            self._show(Progress(0.0, "connecting", found, 0, {}))
            await asyncio.sleep(0.25)
        self._note("not every gateway could be connected and leased before the first phase")

    async def _watch(self, pool: WorkerPool) -> None:
        """Watch until the plan is done."""
        said: set[str] = set()
        while True:
            await asyncio.sleep(_TICK_S)
            found = pool.snapshot()
            await self._look(found)
            for part in self._site.ended():
                if part not in said:
                    said.add(part)
                    self._note(part)
            elapsed = time.time() - self._starts_at
            if found.more.get("is_over", 0) >= self._options.workers:
                return
            if elapsed > self._scenario.duration_s + 120:
                self._note("the generator did not finish its plan in time")
                return

    async def _come_to_rest(self, pool: WorkerPool) -> None:
        """Wait until no envelope waits for a receipt, or time is up."""
        self._say("coming to rest")
        began = time.monotonic()
        while time.monotonic() - began < self._scenario.settle_s:
            found = pool.snapshot()
            await self._look(found)
            self._settle_s = time.monotonic() - began
            if not found.more.get("waiting", 0):
                return
            await asyncio.sleep(0.5)
        self._note("not everything was settled in the time that the scenario gives")

    async def _look(self, found: TallySnapshot) -> None:
        elapsed_s = await self._monitor.look(found)
        self._connected = max(self._connected, found.online)
        stored, uses = self._monitor.ingested().stored, self._monitor.uses
        self._show(Progress(elapsed_s, self._phase_at(elapsed_s), found, stored, uses))

    def _phase_at(self, elapsed: float) -> str:
        for phase in self._scenario.phases:
            if elapsed < phase.duration_s:
                return phase.name
            elapsed -= phase.duration_s
        return "settling"

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._say(text)

    def _close(self) -> FleetReport:
        self._monitor.scrape()
        seen = Seen(
            began_at=self._began_at,
            starts_at=self._starts_at,
            ramp_s=self._ramp_s,
            settle_s=self._settle_s,
            connected=self._connected,
            workers=self._options.workers,
            tally=self._tally,
            ingested=self._monitor.ingested(),
            withdrawn=sorted(self._withdrawals.withdrawn),
            withdrawn_late_s=self._withdrawals.latest_s,
            samples=self._monitor.samples,
            highest_mb=self._monitor.highest_mb,
            spent=self._monitor.spent,
            notes=self._notes,
            command=self._options.command,
        )
        report = close(self._scenario, self._plan, self._site, self._folder, seen)
        return judge(report, self._options.required, self._options.failing)

"""
A campaign: a fleet let loose on a site, watched, brought to rest and settled.

Whatever the system does meanwhile, there is a report of what was seen.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from simulators.fleet import books as bookkeeping
from simulators.fleet import journal, roster
from simulators.fleet.books import Books, Ingested, Joined
from simulators.fleet.crew import Crew
from simulators.fleet.driver import Job
from simulators.fleet.errors import UnansweredError, WorkerEnded
from simulators.fleet.ledger import Ledger, Rows, Settled
from simulators.fleet.limits import Limit
from simulators.fleet.meter import Meter, Use
from simulators.fleet.plan import Plan
from simulators.fleet.report import Figures, Generator, Report, Sample, judge, receipt_of
from simulators.fleet.scenario import Scenario
from simulators.fleet.site import Site
from simulators.fleet.tally import Snapshot
from simulators.fleet.weather import Weather
from simulators.network import Relay
from simulators.stack.scrape import EMPTY, scrape
from simulators.stack.trust_shell import CommandFailed

_TICK_S: Final = 1.0
_LEAD_S: Final = 1.5
"""From the order to begin until the beginning, for every process to hear it."""
_RAMP_PATIENCE_S: Final = 180.0


class Options(msgspec.Struct, frozen=True):
    """What the user chose besides the scenario."""

    workers: int = 1
    required: Sequence[Limit] = ()
    failing: Sequence[Limit] = ()
    resend_after_s: float = 30.0
    state_every_s: float = 30.0


class Progress(msgspec.Struct, frozen=True):
    """How a run goes."""

    elapsed_s: float
    phase: str
    tally: Snapshot
    stored: int
    uses: dict[str, Use]


class Campaign:
    """
    One run.

    Args:
        scenario: What to play.

        todo: Its plan, drawn or recorded.

        site: On what.

        options: What the user chose.

        say: Called with each step.

        show: Called with how it goes, once a second.
    """

    def __init__(
        self,
        scenario: Scenario,
        todo: Plan,
        site: Site,
        options: Options,
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
        self._samples: list[Sample] = []
        self._ingest = EMPTY
        self._ingest_before = EMPTY
        self._connected = 0
        self._withdrawn: set[int] = set()
        self._meter = Meter({})
        self._uses: dict[str, Use] = {}
        self._uses_at_go: dict[str, Use] = {}
        self._tally = Snapshot()
        self._ramp_s = 0.0
        self._settle_s = 0.0
        self._began_at = time.time()
        self._starts_at = self._began_at

    async def run(self) -> Report:
        """Play it all; return the report."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with self._network() as relay:
            port = self._site.port if relay is None else relay.port
            crew = Crew(self._jobs(port), log=self._folder / "fleet.log")
            await crew.start()
            self._meter = Meter({**self._site.pids, "fleet": crew.pids, "bench": [os.getpid()]})
            try:
                await self._play(crew, relay)
            except WorkerEnded as exc:
                self._note(str(exc))
            finally:
                # A network at its worst must not be what the books are closed over.
                if relay is not None:
                    relay.release()
                self._tally = await crew.finish()
        self._say("settling the books")
        return await asyncio.to_thread(self._report)

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

    async def _play(self, crew: Crew, relay: Relay | None) -> None:
        await self._ramp(crew)
        await asyncio.to_thread(self._scrape)
        self._ingest_before = self._ingest
        self._starts_at = time.time() + _LEAD_S
        crew.go(self._starts_at)
        self._uses_at_go = await asyncio.to_thread(self._meter.read)
        beside = [asyncio.create_task(self._withdraw(), name="withdrawals")]
        if relay is not None:
            weather = Weather(self._scenario, relay)
            beside.append(asyncio.create_task(weather.play(self._starts_at), name="weather"))
        try:
            await self._watch(crew)
            await self._come_to_rest(crew)
        finally:
            for task in beside:
                task.cancel()
            for outcome in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(outcome, Exception):
                    self._note(f"a part of the run failed ({type(outcome).__name__})")

    async def _ramp(self, crew: Crew) -> None:
        """Wait until every gateway is connected and has its lease, or it takes too long."""
        self._say(f"connecting {self._scenario.agents} gateways")
        began = time.monotonic()
        patience_s = self._scenario.ramp_s + _RAMP_PATIENCE_S
        while (took := time.monotonic() - began) < patience_s:
            found = crew.snapshot()
            self._connected = max(self._connected, found.online)
            self._ramp_s = took
            ready = min(found.online, int(found.more.get("leased", 0)))
            if ready >= self._scenario.agents:
                return
            self._show(Progress(0.0, "connecting", found, 0, self._uses))
            await asyncio.sleep(0.25)
        self._note("not every gateway could be connected and leased before the first phase")

    async def _watch(self, crew: Crew) -> None:
        """Watch until the plan is done."""
        said: set[str] = set()
        while True:
            await asyncio.sleep(_TICK_S)
            found = crew.snapshot()
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

    async def _come_to_rest(self, crew: Crew) -> None:
        """Wait until nothing is waiting for a receipt, or it takes too long."""
        self._say("coming to rest")
        began = time.monotonic()
        while time.monotonic() - began < self._scenario.settle_s:
            found = crew.snapshot()
            await self._look(found)
            self._settle_s = time.monotonic() - began
            if not found.more.get("waiting", 0):
                return
            await asyncio.sleep(0.5)
        self._note("not everything was settled in the time that the scenario gives")

    async def _look(self, found: Snapshot) -> None:
        before, self._uses = self._uses, await asyncio.to_thread(self._meter.read)
        await asyncio.to_thread(self._scrape)
        self._connected = max(self._connected, found.online)
        elapsed = time.time() - self._starts_at
        self._samples.append(
            Sample(
                at_s=round(elapsed, 2),
                online=found.online,
                waiting=int(found.more.get("waiting", 0)),
                rss_mb={n: round(u.rss_bytes / 1e6, 1) for n, u in self._uses.items()},
                cpu=self._cpu_since(before, elapsed),
            )
        )
        stored = self._ingested().stored
        self._show(Progress(elapsed, self._phase_at(elapsed), found, stored, self._uses))

    def _cpu_since(self, before: dict[str, Use], elapsed: float) -> dict[str, float]:
        since = max(elapsed - self._samples[-1].at_s, 0.1) if self._samples else _TICK_S
        return {
            name: round((use.cpu_s - before[name].cpu_s) / since, 3)
            for name, use in self._uses.items()
            if name in before
        }

    def _phase_at(self, elapsed: float) -> str:
        for phase in self._scenario.phases:
            if elapsed < phase.duration_s:
                return phase.name
            elapsed -= phase.duration_s
        return "settling"

    async def _withdraw(self) -> None:
        """Have people withdraw when the plan says so."""
        shell = self._site.shell
        for at_s, number in self._plan.withdrawals():
            await asyncio.sleep(max(0.0, self._starts_at + at_s - time.time()))
            if shell is None:
                self._note("nobody withdrew: there is no trust to tell")
                return
            subject = self._site.members[number].subject
            try:
                await asyncio.to_thread(
                    shell.run, "decision", "withdraw", "--subject", subject, "--purpose", "fleet"
                )
            except CommandFailed as exc:
                self._note(str(exc))
                return
            self._withdrawn.add(number)

    def _scrape(self) -> None:
        found = None if self._site.ingest_port is None else scrape(self._site.ingest_port)
        if found is not None:
            self._ingest = found

    def _ingested(self) -> Ingested:
        """Return what ingest has counted since the run began."""

        def since(name: str, **labels: str) -> int:
            now, then = (
                self._ingest.value(name, **labels),
                self._ingest_before.value(name, **labels),
            )
            return round(now - then)

        envelopes = "vitalveil_ingest_envelopes_total"
        return Ingested(
            received=since("vitalveil_ingest_received_envelopes_total"),
            stored=since(envelopes, outcome="stored"),
            duplicates=since(envelopes, outcome="duplicate"),
            refused=since(envelopes, outcome="refused"),
            quarantined=since(envelopes, outcome="quarantined"),
            abandoned=round(self._ingest.total("vitalveil_ingest_abandoned_envelopes_total")),
            in_flight=round(self._ingest.value("vitalveil_ingest_in_flight_envelopes")),
            refused_by_reason=self._ingest.by(
                "vitalveil_ingest_refused_envelopes_total", "reason"
            ),
        )

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._say(text)

    # After the run.

    def _report(self) -> Report:
        self._scrape()
        found = journal.read([job.journal for job in self._jobs(0) if job.journal.exists()])
        joined, rows, late = self._ask(found)
        figures = Figures(self._scenario, self._plan, joined, self._starts_at)
        calm = figures.calm()
        phases = [
            figures.phase(number, receipt_of(self._tally, [number]))
            for number in range(len(self._scenario.phases))
        ]
        books = None if rows is None else self._books(joined, rows)
        report = Report(
            scenario=self._scenario.name,
            about=self._scenario.about,
            seed=self._scenario.seed,
            plan=self._plan.digest,
            agents=self._scenario.agents,
            connected=self._connected,
            enrolment_s=self._site.enrolment_s,
            ramp_s=self._ramp_s,
            drain_s=None if rows is None else figures.drain_s(),
            settle_s=self._settle_s,
            phases=phases,
            overall=figures.overall(receipt_of(self._tally, calm)),
            books=books,
            ingest=self._ingested(),
            generator=self._generator(),
            links=self._tally.ended,
            rows_after_withdrawal=late,
            withdrawals=len(self._withdrawn),
            highest_mb={n: round(b / 1e6, 1) for n, b in self._meter.highest.items()},
            cpu_s=self._cpu_s(),
            machine={"cores": os.cpu_count() or 0, "load_1min": os.getloadavg()[0]},
            notes=self._notes,
            verdicts=[],
            samples=self._samples,
            per_second=figures.per_second(),
            curve=figures.curve(),
        )
        return judge(report, self._options.required, self._options.failing)

    def _ask(self, found: journal.Columns) -> tuple[Joined, Rows | None, int | None]:
        """Ask the database; without one, receipts must do."""
        nothing = np.zeros(0, np.int64)
        nobody = Settled(nothing, nothing, nothing, nothing, np.zeros(0), is_exact=False)
        if self._site.dsn is None:
            self._note("no database was named: receipts are all there is")
            return bookkeeping.by_receipts(found), None, None
        ledger = Ledger(self._site.dsn)
        try:
            settled = ledger.settled(self._spools(), since=self._began_at - 1)
            if not settled.is_exact:
                self._note(
                    "track_commit_timestamp is off: queryable means inserted, not committed"
                )
            span_s = self._scenario.every_s + self._scenario.clock_skew_s + 1
            rows = ledger.rows(since=self._starts_at - span_s, until=time.time() + span_s)
            late = ledger.rows_after_withdrawal() if self._withdrawn else 0
        except UnansweredError as exc:
            self._note(str(exc))
            return bookkeeping.join(found, nobody), None, None
        return bookkeeping.join(found, settled), rows, late

    def _spools(self) -> dict[tuple[str, bytes], int]:
        found: dict[tuple[str, bytes], int] = {}
        for path in self._folder.glob("spools-*.json"):
            for number, spool in msgspec.json.decode(
                Path(path).read_bytes(), type=dict[str, str]
            ).items():
                agent = self._site.members[int(number)].agent
                found[agent, bytes.fromhex(spool)] = int(number)
        return found

    def _books(self, joined: Joined, rows: Rows) -> Books:
        return bookkeeping.settle(
            joined,
            rows=rows,
            tally=self._tally,
            ingested=self._ingested(),
            withdrawn=np.isin(joined.journal.agent, list(self._withdrawn)),
        )

    def _generator(self) -> Generator:
        more, lag = self._tally.more, self._tally.lag_histogram()
        published = self._tally.published
        tardy = lag.quantile_s(0.99)
        idle = more.get("idle_bytes", 0.0)
        return Generator(
            workers=self._options.workers,
            cpu_us_per_envelope=more.get("cpu_s", 0.0) / published * 1e6 if published else None,
            idle_kb_per_agent=idle / 1024 / self._scenario.agents if idle else None,
            lag=lag.summary(),
            was_the_limit=more.get("done", 0) < more.get("due", 0)
            or (tardy is not None and tardy > 1.0),
        )

    def _cpu_s(self) -> dict[str, float]:
        return {
            name: round(use.cpu_s - self._uses_at_go[name].cpu_s, 2)
            for name, use in self._uses.items()
            if name in self._uses_at_go
        }

"""
The demo: the sensors of people send to agents, and one person withdraws during the run.

It reaches the programs only through command lines, sockets and /metrics, as an operator would.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from simulators.demo import telemetry
from simulators.demo.accounts import DemoReport, IngestCounters, SpoolTotals, settle
from simulators.demo.view import DemoSnapshot
from simulators.demo.withdrawal import WithdrawalTrial
from simulators.people.people import Origin, Person, pick
from simulators.replay.player import Player
from simulators.replay.replay import source_of
from simulators.stack.scrape import EMPTY, Metrics, scrape
from simulators.stack.system import LocalAgent, System
from simulators.stack.trust_shell import INVENTED_BIRTH, INVENTED_YES, TrustShell

PURPOSE: Final = "home-monitoring@1"
_POLICY: Final = Path(__file__).parents[2] / "trust" / "policies" / "demo.yaml"
_QUANTITIES: Final = ("heart_rate", "glucose_interstitial")
_WATCH_S: Final = 0.5
_RATES_OVER: Final = 10
"""Between two looks at the withdrawal, in seconds."""
_DRAIN_S: Final = 15.0
_LATENCY: Final = "vitalveil_ingest_measured_to_queryable_seconds"


class DemoOptions(msgspec.Struct, frozen=True):
    """What the user chose on the command line."""

    duration_s: float = 60.0
    agents: int = 4
    source: Path | None = None
    speed: float = 300.0
    seed: int = 1

    @property
    def withdraws_at_s(self) -> float:
        """When one subject withdraws, in seconds from the start."""
        return self.duration_s / 3


class Participant(msgspec.Struct, frozen=True):
    """A person, their subject in trust, and the agent in their home."""

    person: Person
    subject: str
    gateway: LocalAgent


class Demo:
    """
    One run of the demo.

    Args:
        system: The system; it must not be prepared yet.

        options: What the user chose.

        show: Called with each new snapshot.

        say: Called with a line for each step of the start.
    """

    def __init__(
        self,
        system: System,
        options: DemoOptions,
        *,
        show: Callable[[DemoSnapshot], None],
        say: Callable[[str], None],
    ) -> None:
        self._system = system
        self._options = options
        self._show = show
        self._say = say
        self._places: list[Participant] = []
        self._withdrawal = WithdrawalTrial(system)
        self._ingest: Metrics = EMPTY
        self._agents: list[Metrics] = []
        # Rates are taken over some seconds, because rows are stored in flushes.
        self._past = deque([(0.0, 0, 0)], maxlen=_RATES_OVER)

    def run(self) -> DemoReport:
        """Start everything, play, withdraw, wait until all is settled; return the report."""
        # Outside of any event loop, which would delay Ctrl-C until everything is prepared. Not on
        # another thread either, because a child process ends with the thread that started it.
        self._prepare()
        with self._system.trust_shell() as shell:
            self._enrol(shell)
            asyncio.run(self._perform(shell))
        return self._report()

    async def _perform(self, shell: TrustShell) -> None:
        player = Player(
            [sensor for place in self._places for sensor in place.person.sensors],
            [gateway.sensors for gateway in self._system.gateways],
            speed=self._options.speed,
        )
        playing = asyncio.create_task(player.run(), name="player")
        try:
            await self._play(player, shell)
            player.finish()
            await self._come_to_rest(player)
        finally:
            playing.cancel()
            await asyncio.wait([playing])

    def _prepare(self) -> None:
        self._say("making keys, certificates and databases")
        self._system.prepare()
        self._say("starting trust and ingest")
        self._system.start_trust()
        self._system.start_ingest()

    def _enrol(self, shell: TrustShell) -> None:
        people = pick(
            self._options.source,
            self._options.agents + 1,
            seed=self._options.seed,
            quantities=_QUANTITIES,
        )
        self._say(f"enrolling {self._options.agents} agents and {len(people)} subjects")
        shell.run("policy", "load", "--first", str(_POLICY))
        for number, person in enumerate(people):
            # Two people share the first gateway, so that one can withdraw while the other is still
            # measured.
            gateway = self._system.gateways[0] if number == 1 else self._system.enrol(shell)
            self._places.append(
                Participant(person, self._consent(shell, person, gateway), gateway)
            )
        for gateway in self._system.gateways:
            self._system.start_agent(gateway)
        self._system.wait_for_agents()

    @staticmethod
    def _consent(shell: TrustShell, person: Person, gateway: LocalAgent) -> str:
        subject: str = shell.run("subject", "add", "--name", person.name, *INVENTED_BIRTH)[
            "subject"
        ]
        shell.run(
            "decision", "record", "--subject", subject, "--purpose", PURPOSE,
            "--agent", gateway.agent, "--quantities", ",".join(_QUANTITIES), *INVENTED_YES,
            *(part for sensor in person.sensors for part in ("--binding", sensor.address)),
        )  # fmt: skip
        return subject

    async def _play(self, player: Player, shell: TrustShell) -> None:
        started = time.monotonic()
        withdrawing: asyncio.Task[None] | None = None
        while (elapsed := time.monotonic() - started) < self._options.duration_s:
            if withdrawing is None and elapsed >= self._options.withdraws_at_s:
                withdrawing = asyncio.create_task(self._withdraw(player, shell), name="withdraw")
            self._system.check()
            await asyncio.to_thread(self._scrape)
            self._show_now(player, elapsed)
            await asyncio.sleep(_WATCH_S)
        if withdrawing is not None:
            await withdrawing

    async def _withdraw(self, player: Player, shell: TrustShell) -> None:
        """Withdraw the consent of the first subject, and measure how fast that takes effect."""
        place = self._places[0]
        books = [player.books[sensor.address] for sensor in place.person.sensors]
        await self._withdrawal.run(shell, place.subject, PURPOSE, books)

    def _scrape(self) -> None:
        self._ingest = scrape(self._system.ingest_port) or self._ingest
        self._agents = [scrape(g.http_port) or EMPTY for g in self._system.gateways]

    def _show_now(self, player: Player, elapsed: float) -> None:
        played = sum(book.handed_over for book in player.books.values())
        stored = self._ingest.by("vitalveil_ingest_stored_observations_total", "quantity")
        total = sum(stored.values())
        then = self._past[0]
        since = max(elapsed - then[0], 1e-3)
        self._past.append((elapsed, played, total))
        self._show(
            DemoSnapshot(
                elapsed_s=elapsed,
                duration_s=self._options.duration_s,
                source=self._describe_source(),
                played=played,
                played_per_s=(played - then[1]) / since,
                stored_by_quantity=stored,
                stored_per_s=(total - then[2]) / since,
                refused=self._ingest.by("vitalveil_ingest_refused_envelopes_total", "reason"),
                dropped_at_edge=self._kept_at_the_edge(),
                spooled=[round(m.value("vitalveil_agent_spool_envelopes")) for m in self._agents],
                p50_ms=_ms(self._ingest.quantile(_LATENCY, 0.5)),
                p99_ms=_ms(self._ingest.quantile(_LATENCY, 0.99)),
                withdraws_at_s=self._options.withdraws_at_s,
                withdrawal=self._withdrawal.result,
            )
        )

    def _kept_at_the_edge(self) -> dict[str, int]:
        """Return how many measurements did not leave the gateways, by reason."""
        kept: dict[str, int] = {}
        for metrics in self._agents:
            refused = metrics.by("vitalveil_agent_refused_measurements_total", "reason")
            coarsened = metrics.value("vitalveil_agent_measurements_total", outcome="coarsened")
            for reason, count in {**refused, "coarsened": round(coarsened)}.items():
                kept[reason] = kept.get(reason, 0) + count
        return {reason: count for reason, count in kept.items() if count}

    def _describe_source(self) -> str:
        people = [place.person for place in self._places]
        texts = {
            "recorded": "recordings of real people",
            "persona": "invented people (no recording at hand)",
            "recorded+persona": "recordings of real people, and invented ones",
        }
        return texts[source_of(people)]

    async def _come_to_rest(self, player: Player) -> None:
        """Wait until every record is handed over and every spool is settled, or time is up."""
        self._say("coming to rest")
        deadline = time.monotonic() + _DRAIN_S
        # A record that was handed over is not spooled yet: it waits in a batch for up to its
        # maximal age.
        await asyncio.sleep(1.0)
        while time.monotonic() < deadline:
            self._system.check()
            await asyncio.to_thread(self._scrape)
            spooled = sum(m.value("vitalveil_agent_spool_envelopes") for m in self._agents)
            if not player.pending and not spooled:
                return
            await asyncio.sleep(0.2)

    def _report(self) -> DemoReport:
        self._system.stop_agents()
        time.sleep(0.5)
        self._scrape()
        admin = self._system.databases.admin("telemetry")
        withdrawal = self._withdrawal.count_rows_again()
        origins = [place.person.origin for place in self._places]
        return settle(
            [self._spool_totals(gateway) for gateway in self._system.gateways],
            telemetry.stored(admin),
            self._ingested(),
            withdrawal=withdrawal,
            source={origin.value: origins.count(origin) for origin in Origin},
        )

    def _spool_totals(self, gateway: LocalAgent) -> SpoolTotals:
        shown: dict[str, Any] = json.loads(
            self._system.run(
                "agent", "spool", "show", "--json", "--config", str(gateway.configuration)
            )
        )
        totals: dict[str, dict[str, int]] = shown["totals"]
        return SpoolTotals(
            appended_envelopes=totals["appended"]["envelopes"],
            appended_observations=totals["appended"]["observations"],
            purged_envelopes=totals["purged"]["envelopes"],
            purged_observations=totals["purged"]["observations"],
            evicted_envelopes=totals["evicted"]["envelopes"],
            evicted_observations=totals["evicted"]["observations"],
            held_envelopes=shown["depth"],
        )

    def _ingested(self) -> IngestCounters:
        outcomes = self._ingest.by("vitalveil_ingest_envelopes_total", "outcome")
        return IngestCounters(
            received=round(self._ingest.total("vitalveil_ingest_received_envelopes_total")),
            stored=outcomes.get("stored", 0),
            duplicates=outcomes.get("duplicate", 0),
            refused=outcomes.get("refused", 0),
            quarantined=outcomes.get("quarantined", 0),
            abandoned=round(self._ingest.total("vitalveil_ingest_abandoned_envelopes_total")),
            in_flight=round(self._ingest.total("vitalveil_ingest_in_flight_envelopes")),
            refused_by_reason=self._ingest.by(
                "vitalveil_ingest_refused_envelopes_total", "reason"
            ),
            refused_observations=round(
                self._ingest.total("vitalveil_ingest_refused_observations_total")
            ),
            p50_s=self._ingest.quantile(_LATENCY, 0.5),
            p99_s=self._ingest.quantile(_LATENCY, 0.99),
        )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000

"""Samples, once a second, what programs use and what ingest reports."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from simulators.fleet.report.accounting import Ingested
from simulators.fleet.report.figures import Spent
from simulators.fleet.report.report import UsageSample
from simulators.fleet.report.tally import TallySnapshot
from simulators.fleet.run.meter import Meter, Use
from simulators.stack.scrape import EMPTY, scrape


class ProcessMonitor:
    """
    Keeps the samples of the programs of a run.

    Args:
        pids: Process ids, by name of the program.

        ingest_port: The port of ingest's /metrics; None if it cannot be read.
    """

    def __init__(self, pids: Mapping[str, Sequence[int]], ingest_port: int | None) -> None:
        self._meter = Meter(pids)
        self._ingest_port = ingest_port
        self._ingest = EMPTY
        self._ingest_before = EMPTY
        self._starts_at = time.time()
        self.uses: dict[str, Use] = {}
        """What each program uses, by the last sample."""
        self.samples: list[UsageSample] = []
        self.spent: list[Spent] = []

    async def begin(self, starts_at: float) -> None:
        """Count from the last scrape on; the first phase begins at *starts_at*."""
        self._ingest_before = self._ingest
        self._starts_at = starts_at
        await self._read()

    async def look(self, found: TallySnapshot) -> float:
        """
        Sample every program, with *found* as the state of the fleet; return the seconds since the
        start.
        """
        before = self.spent[-1]
        elapsed_s = await self._read()
        await asyncio.to_thread(self.scrape)
        since_s = max(elapsed_s - before.at_s, 0.1)
        self.samples.append(
            UsageSample(
                at_s=round(elapsed_s, 2),
                online=found.online,
                waiting=int(found.more.get("waiting", 0)),
                rss_mb={n: round(u.rss_bytes / 1e6, 1) for n, u in self.uses.items()},
                cpu={
                    name: round((use.cpu_s - before.cpu_s[name]) / since_s, 3)
                    for name, use in self.uses.items()
                    if name in before.cpu_s
                },
            )
        )
        return elapsed_s

    async def _read(self) -> float:
        self.uses = await asyncio.to_thread(self._meter.read)
        elapsed_s = time.time() - self._starts_at
        self.spent.append(Spent(elapsed_s, {n: use.cpu_s for n, use in self.uses.items()}))
        return elapsed_s

    @property
    def highest_mb(self) -> dict[str, float]:
        """The highest memory of each program, in MB."""
        return {name: round(size / 1e6, 1) for name, size in self._meter.highest.items()}

    def scrape(self) -> None:
        """Read ingest's metrics; if it does not answer, the last ones stand."""
        found = None if self._ingest_port is None else scrape(self._ingest_port)
        if found is not None:
            self._ingest = found

    def ingested(self) -> Ingested:
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

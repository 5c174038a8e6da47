"""
The driver: lets the gateways of one process act at the times of the plan.

It never waits for the system that it measures. Its own delays are reported as lag, separately from
the times of the system.
"""

import asyncio
import gc
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from runtime.process import give_back_memory
from simulators.fleet.gateway import bundle
from simulators.fleet.gateway.dialler import Dialler
from simulators.fleet.gateway.gateway import Gateway
from simulators.fleet.gateway.tracks import tracks_of
from simulators.fleet.report.journal import Journal
from simulators.fleet.report.tally import Tally, TallySnapshot
from simulators.fleet.run.costs import Costs
from simulators.fleet.run.meter import rss_bytes
from simulators.fleet.scenario.job import Job
from simulators.fleet.scenario.plan import Act, Plan
from simulators.fleet.scenario.roster import Member
from wire import topics

_SHORTEST_TURN_S: Final = 0.01
_LONGEST_TURN_S: Final = 0.05
_TURN_S_PER_GATEWAY: Final = 25e-6
"""A process that has slept finds none of its data in the processor's caches, and loading them
costs as much as several envelopes: a large fleet has fewer and longer turns."""
_VISIT_EVERY_S: Final = 15.0
"""The time in which housekeeping visits every gateway once."""
_LATE_S: Final = 0.001
_ACTS_AT_ONCE: Final = 512
"""The most acts before connections get their turn."""
_MAX_BACK_OFF_S: Final = 15.0
_CLOSING_S: Final = 5.0
"""How long the broker may take to close its ends of the connections."""
_ACTS: Final = {int(act): act for act in Act}
_LEAVE: Final = Act.LEAVE
"""The first of the acts on a connection."""


class Driver:
    """
    Plays the gateways of a job. Implements `GatewayContext`.

    Args:
        job: The task of this process.

        members: The whole roster.

        plan: The acts of this process.

    Raises:
        RosterError: A bundle cannot be used.
    """

    def __init__(self, job: Job, members: list[Member], plan: Plan) -> None:
        self._job = job
        self._plan = plan
        self._rss_before = rss_bytes()
        mine = range(job.number, job.scenario.agents, job.workers)
        first = Path(members[0].folder)
        self.trust_key, self.ingest_key = bundle.trust_key(first), bundle.ingest_key(first)
        self.journal = Journal()
        self.tally = Tally()
        self.draw = random.Random(f"{job.scenario.seed}/{job.number}")
        self.state_every_s = job.state_every_s
        self._members = members
        tracks = tracks_of(job.scenario.seed, job.scenario.steps_ms())
        skew_ms = job.scenario.clock_skew_s * 1000
        self.gateways = {
            number: Gateway(
                number,
                members[number].agent,
                lease_key=bundle.lease_key(Path(members[number].folder)),
                tracks=(tracks[number % len(tracks)], self.draw.randrange(720)),
                skew_ms=round(self.draw.uniform(-skew_ms, skew_ms)),
                world=self,
            )
            for number in mine
        }
        self._dialler = Dialler(
            job.host, job.port,
            ca_file=first / "ca.crt", at_once=job.scenario.connecting_at_once,
        )  # fmt: skip
        self._failures: dict[int, int] = {}
        self._dialling: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._starts_at = 0.0
        self._turn_s = turn_of(len(mine))
        self._walk: Iterator[int] | None = None
        self._done = 0
        self._visits = itertools.cycle(self.gateways.values())
        self._visited_at = 0.0
        self.costs = Costs()

    # Calls of gateways.

    now = staticmethod(time.time)

    def neighbour_of(self, gateway: Gateway) -> tuple[bytes, str]:
        """Return a handle and a topic that are not this gateway's."""
        if len(self._members) == 1:
            return bytes(16), topics.observations("0" * 16)
        other = self._members[(gateway.number + 1) % len(self._members)]
        return bytes.fromhex(other.handle), topics.observations(other.agent)

    def came_up(self, gateway: Gateway) -> None:
        """Reset the failures of *gateway*."""
        self._failures.pop(gateway.number, None)
        self._dialler.came_up(gateway)

    def went_down(self, gateway: Gateway) -> None:
        """Connect *gateway* again after a delay, unless it is to be off-line."""
        self._dialler.went_down(gateway)
        self._dial_later(gateway)

    def _dial_later(self, gateway: Gateway) -> None:
        if self._is_stopping or gateway.is_offline:
            return
        failures = self._failures.get(gateway.number, 0)
        self._failures[gateway.number] = failures + 1
        # Full jitter, as agents have.
        wait_s = self.draw.uniform(0, min(_MAX_BACK_OFF_S, 2.0 ** min(failures, 10)))
        asyncio.get_running_loop().call_later(wait_s, self._dial, gateway)

    def _dial(self, gateway: Gateway) -> None:
        if self._is_stopping or gateway.is_offline or gateway.link is not None:
            return
        task = asyncio.get_running_loop().create_task(self._dial_one(gateway), name="dial")
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial_one(self, gateway: Gateway) -> None:
        await self._dialler.dial(gateway, Path(self._members[gateway.number].folder))

    # The work of the process.

    async def ramp(self) -> None:
        """Connect all gateways, evenly over the ramp."""
        # Thousands of gateways are created here, and the collector would find no garbage among
        # them.
        gc.set_threshold(50_000, 20, 20)
        loop = asyncio.get_running_loop()
        gap_s = self._job.scenario.ramp_s / max(1, len(self.gateways))
        started = loop.time()
        for place, gateway in enumerate(self.gateways.values()):
            await asyncio.sleep(max(0.0, started + place * gap_s - loop.time()))
            self._dial(gateway)

    def note_idle(self) -> None:
        """Measure the memory of connected gateways, and exempt them from the collector."""
        gc.collect()
        gc.freeze()
        # Memory that the handshakes have freed belongs to the allocator, not to the gateways.
        give_back_memory()
        self.costs.connected(rss_bytes() - self._rss_before, self.tally.came_up)

    def begin(self, starts_at: float) -> None:
        """Begin the first phase at *starts_at*, in seconds since 1970."""
        self._starts_at = starts_at
        self._walk = self._acts(starts_at)
        # Runs to its first wait.
        next(self._walk)
        self.costs.idles()

    async def turn(self) -> None:
        """Act and do periodic work, turn by turn, without end."""
        while True:
            await asyncio.sleep(self._until_next_turn_s(time.time()))
            while self._walk is not None and next(self._walk, None) == _ACTS_AT_ONCE:  # noqa: ASYNC110
                # More acts are due, but the connections get their turn first.
                await asyncio.sleep(0)
            self._see_to_some(time.time())

    def _until_next_turn_s(self, now: float) -> float:
        # A timer may fire almost a millisecond early, and what is due would wait for a whole turn.
        return self._turn_s - (now - self._starts_at) % self._turn_s + _LATE_S

    def _acts(self, starts_at: float) -> Iterator[int]:
        """Do what is due at each call, and yield the number of acts."""
        plan, every_s = self._plan, self._job.scenario.every_s
        # Acts within a turn are due at its end, so that every delay of the process counts as lag.
        due_at = (plan.due_by_turn_s(self._turn_s) + starts_at).tolist()
        gateways = list(self.gateways.values())
        # Of n processes, each plays every n-th gateway.
        who = (plan.agent // self._job.workers).tolist()
        acts, phases = plan.act.tolist(), plan.phase.tolist()
        every = [every_s / max(p.rate, p.last_rate, 1e-9) for p in self._job.scenario.phases]
        yield 0
        while time.time() < starts_at:
            yield 0
        self.costs.begun()
        here, record, count = 0, self.tally.lag.record, len(due_at)
        while here < count:
            first, last = here, min(here + _ACTS_AT_ONCE, count)
            while here < last and due_at[here] <= (now := time.time()):
                record(now - due_at[here])
                act, phase = _ACTS[acts[here]], phases[here]
                if act < _LEAVE:
                    gateways[who[here]].act(act, phase, due_at[here], every[phase])
                else:
                    self._have(gateways[who[here]], act)
                here += 1
            self._done = here
            yield here - first
        for gateway in self.gateways.values():
            gateway.spool.release()
            gateway.pump()
        self.costs.ended()

    def _have(self, gateway: Gateway, act: Act) -> None:
        """Apply *act* to the connection of *gateway*."""
        if act is Act.LEAVE:
            gateway.is_offline = True
            if gateway.link is not None:
                gateway.link.end("left")
        elif act is Act.RETURN:
            gateway.is_offline = False
            self._dial(gateway)
        elif gateway.link is not None:
            if act is Act.CHURN:
                gateway.link.end("churned")
            elif act is Act.STOP_READING:
                gateway.link.stop_reading()
            else:
                gateway.link.read_again()

    def _see_to_some(self, now: float) -> None:
        """Do the periodic work of as many gateways as are to be visited by now."""
        share = min(1.0, (now - self._visited_at) / _VISIT_EVERY_S)
        due = int(share * len(self.gateways))
        if due:
            self._visited_at = now
        for gateway in itertools.islice(self._visits, due):
            gateway.keep_up(now, resend_after_s=self._job.resend_after_s)

    def snapshot(self) -> TallySnapshot:
        """Return the counters of the process."""
        tally, sealed = self.tally, len(self.journal)
        return tally.snapshot(
            sealed=sealed,
            waiting=sealed - tally.settled - tally.purged,
            leased=tally.leased,
            done=self._done,
            due=len(self._plan),
            rss_bytes=rss_bytes(),
            **self.costs.figures,
        )

    async def finish(self) -> None:
        """Disconnect, and write the journal."""
        self._is_stopping = True
        for task in self._dialling:
            task.cancel()
        closing = [
            gateway.link.close() for gateway in self.gateways.values() if gateway.link is not None
        ]
        if closing:
            await asyncio.wait(closing, timeout=_CLOSING_S)
        self.journal.write(self._job.journal)
        spools = {str(n): gateway.spool_id.hex() for n, gateway in self.gateways.items()}
        self._job.spools.write_bytes(msgspec.json.encode(spools))


def turn_of(gateways: int) -> float:
    """Return the length of a turn of a process with this many *gateways*, in seconds."""
    return min(max(_SHORTEST_TURN_S, gateways * _TURN_S_PER_GATEWAY), _LONGEST_TURN_S)

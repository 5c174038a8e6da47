"""
The driver: has the gateways of one process do what the plan says, when it says so.

Does not wait for anything that it measures. What it could not begin in time is its own lag, and is
reported apart from the system's.
"""

import asyncio
import ctypes
import gc
import os
import random
import resource
import time
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from simulators.fleet.dialler import Dialler
from simulators.fleet.errors import RosterError
from simulators.fleet.gateway import Gateway
from simulators.fleet.journal import Journal
from simulators.fleet.plan import Act, Plan
from simulators.fleet.roster import Member
from simulators.fleet.scenario import Scenario
from simulators.fleet.tally import Snapshot, Tally
from simulators.fleet.tracks import tracks_of
from wire import topics

_ROUND_S: Final = 0.25
_ROUNDS: Final = 20
"""Housekeeping sees each gateway once in so many rounds."""
_ACTS_AT_ONCE: Final = 512
"""Of those that are due, before the connections get their turn: where thousands shake hands at
once, a turn of theirs takes a while."""
_MAX_BACK_OFF_S: Final = 15.0
_libc: Final = ctypes.CDLL(None)


class Job(msgspec.Struct, frozen=True):
    """What one process is to do."""

    scenario: Scenario
    number: int
    workers: int
    host: str
    port: int
    roster: str
    plan: str
    folder: str
    """Where its journal goes. Paths are text, because a job is handed over as JSON."""
    resend_after_s: float = 30.0
    state_every_s: float = 30.0

    @property
    def journal(self) -> Path:
        """Where its journal goes."""
        return Path(self.folder) / f"journal-{self.number}.npz"

    @property
    def spools(self) -> Path:
        """Where the spool id of each of its gateways goes."""
        return Path(self.folder) / f"spools-{self.number}.json"


class Driver:
    """
    Plays the gateways of a job. Fills the port `World`.

    Args:
        job: What to do.

        members: The whole roster.

        plan: The part of the plan that is this process's.

    Raises:
        RosterError: A bundle is not what it should be.
    """

    def __init__(self, job: Job, members: list[Member], plan: Plan) -> None:
        self._job = job
        self._plan = plan
        self._rss_before = rss_bytes()
        mine = range(job.number, job.scenario.agents, job.workers)
        first = Path(members[0].folder)
        trust_key, ingest_key = _public(first / "trust.pub"), _public(first / "ingest.pub")
        if not isinstance(trust_key, Ed25519PublicKey):
            raise RosterError("trust.pub holds another kind of key")
        if not isinstance(ingest_key, X25519PublicKey):
            raise RosterError("ingest.pub holds another kind of key")
        self.trust_key, self.ingest_key = trust_key, ingest_key
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
                lease_key=_private(Path(members[number].folder) / "lease.key"),
                tracks=(tracks[number % len(tracks)], self.draw.randrange(720)),
                skew_ms=round(self.draw.uniform(-skew_ms, skew_ms)),
                world=self,
            )
            for number in mine
        }
        self._dialler = Dialler(
            job.host, job.port, ca_file=first / "ca.crt", at_once=job.scenario.connecting_at_once
        )
        self._failures: dict[int, int] = {}
        self._dialling: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._position = 0
        self._idle_bytes = 0
        self._cpu_at_go = 0.0
        self._cpu_at_end: float | None = None

    # What gateways ask of it, and tell it.

    def now(self) -> float:
        """Return the time, seconds since 1970."""
        return time.time()

    def neighbour_of(self, gateway: Gateway) -> tuple[bytes, str]:
        """Return a handle and a topic that are not this gateway's."""
        if len(self._members) == 1:
            return bytes(16), topics.observations("0" * 16)
        other = self._members[(gateway.number + 1) % len(self._members)]
        return bytes.fromhex(other.handle), topics.observations(other.agent)

    def came_up(self, gateway: Gateway) -> None:
        """Forget its failures."""
        self._failures.pop(gateway.number, None)
        self._dialler.came_up(gateway)

    def went_down(self, gateway: Gateway) -> None:
        """Connect it again, after a while, unless it is to be away."""
        self._dialler.went_down(gateway)
        self._dial_later(gateway)

    def _dial_later(self, gateway: Gateway) -> None:
        if self._is_stopping or gateway.is_offline:
            return
        failures = self._failures.get(gateway.number, 0)
        self._failures[gateway.number] = failures + 1
        # Full jitter, as agents do.
        wait_s = self.draw.uniform(0, min(_MAX_BACK_OFF_S, 2.0 ** min(failures, 10)))
        asyncio.get_running_loop().call_later(wait_s, self._dial, gateway)

    def _dial(self, gateway: Gateway) -> None:
        if self._is_stopping or gateway.is_offline or gateway.link is not None:
            return
        task = asyncio.get_running_loop().create_task(self._dial_one(gateway), name="dial")
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial_one(self, gateway: Gateway) -> None:
        failure = await self._dialler.dial(gateway, Path(self._members[gateway.number].folder))
        if failure is not None and failure.startswith("unreachable") and gateway.link is None:
            # It never came as far as a link that could say so itself.
            self.tally.ended[failure] += 1
            self._dial_later(gateway)

    # What it does.

    async def ramp(self) -> None:
        """Begin to connect every gateway, evenly over the ramp."""
        loop = asyncio.get_running_loop()
        gap_s = self._job.scenario.ramp_s / max(1, len(self.gateways))
        started = loop.time()
        for place, gateway in enumerate(self.gateways.values()):
            await asyncio.sleep(max(0.0, started + place * gap_s - loop.time()))
            self._dial(gateway)

    def note_idle(self) -> None:
        """Measure what a connected gateway weighs, and keep the collector off what will stay."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        # What the handshakes left behind is the allocator's, not the gateways'.
        _libc.malloc_trim(0)
        self._idle_bytes = rss_bytes() - self._rss_before

    async def walk(self, starts_at: float) -> None:
        """Do the whole plan, the first phase beginning at *starts_at* (seconds since 1970)."""
        self._cpu_at_go = time.process_time()
        plan, every_s = self._plan, self._job.scenario.every_s
        due_at = (plan.at_s + starts_at).tolist()
        who, acts, phases = plan.agent.tolist(), plan.act.tolist(), plan.phase.tolist()
        every = [every_s / max(p.rate, p.last_rate, 1e-9) for p in self._job.scenario.phases]
        while self._position < len(due_at):
            wait_s = due_at[self._position] - time.time()
            await asyncio.sleep(max(0.0, wait_s))
            until = min(self._position + _ACTS_AT_ONCE, len(due_at))
            while self._position < until and due_at[self._position] <= (now := time.time()):
                here = self._position
                self._position += 1
                self.tally.lag.record(now - due_at[here])
                phase = phases[here]
                self._do(self.gateways[who[here]], Act(acts[here]), phase, due_at[here],
                         every[phase])  # fmt: skip
        for gateway in self.gateways.values():
            gateway.spool.release()
            gateway.pump()
        self._cpu_at_end = time.process_time()

    def _do(self, gateway: Gateway, act: Act, phase: int, due_at: float, every_s: float) -> None:
        if act < Act.LEAVE:
            gateway.act(act, phase, due_at, every_s)
        elif act is Act.LEAVE:
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

    async def keep_house(self) -> None:
        """See to every gateway now and then, for ever."""
        everybody = list(self.gateways.values())
        turn = 0
        while True:
            await asyncio.sleep(_ROUND_S)
            now = time.time()
            for gateway in everybody[turn::_ROUNDS]:
                gateway.keep_up(now, resend_after_s=self._job.resend_after_s)
            turn = (turn + 1) % _ROUNDS

    def snapshot(self) -> Snapshot:
        """Return how it goes."""
        cpu_s = (self._cpu_at_end or time.process_time()) - self._cpu_at_go
        return self.tally.snapshot(
            leased=sum(gateway.is_leased for gateway in self.gateways.values()),
            waiting=sum(len(gateway.spool) for gateway in self.gateways.values()),
            sealed=len(self.journal),
            done=self._position,
            due=len(self._plan),
            cpu_s=cpu_s if self._cpu_at_go else 0.0,
            rss_bytes=rss_bytes(),
            idle_bytes=self._idle_bytes,
            is_over=float(self._cpu_at_end is not None),
        )

    async def finish(self) -> None:
        """Say goodbye, and write the journal."""
        self._is_stopping = True
        for task in self._dialling:
            task.cancel()
        for gateway in self.gateways.values():
            if gateway.link is not None:
                gateway.link.close()
        self.journal.write(self._job.journal)
        spools = {str(n): gateway.spool_id.hex() for n, gateway in self.gateways.items()}
        self._job.spools.write_bytes(msgspec.json.encode(spools))
        # The goodbyes are written before the loop ends.
        await asyncio.sleep(0.2)


def rss_bytes() -> int:
    """Return how much memory this process occupies."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def raise_file_limit() -> int:
    """Let this process, and what it starts, open as many files as it may; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _public(path: Path) -> Ed25519PublicKey | X25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise RosterError(f"{path.name} cannot be used ({type(exc).__name__})") from None
    if isinstance(key, (Ed25519PublicKey, X25519PublicKey)):
        return key
    raise RosterError(f"{path.name} holds another kind of key")


def _private(path: Path) -> bytes:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        raise RosterError(f"{path.name} cannot be used ({type(exc).__name__})") from None
    if not isinstance(key, X25519PrivateKey):
        raise RosterError(f"{path.name} holds another kind of key")
    return key.private_bytes_raw()

"""The agent on a machine whose clock is wrong, over several boots, with real files."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from edge_agent.config import BatchSettings
from edge_agent.sources.clock import KEEP_EVERY_S, NAME, Belief, KeptClock, Machine
from edge_agent.spool.spool import SqliteSpool
from edge_agent.values.measurement import Measurement
from tests.fakes.edge_agent import HOUR_MS, SENSOR, grant
from tests.support.agents.lone_agent import LoneAgent, Parties, opened
from wire.quantities import Code

TODAY_MS: Final = 1_767_225_600_000
YEAR_2099_MS: Final = 4_070_908_800_000
_BEFORE_LOOKING_AGAIN_S: Final = 2.0


class Pi(Machine):
    """A machine whose clock shows what the test sets."""

    def __init__(self) -> None:
        self._boots, self._second, self._off_ms = 0, 5.0, TODAY_MS - 5000

    def boot(self) -> str:
        return f"boot-{self._boots}"

    def second(self) -> float:
        return self._second

    def wall_ms(self) -> int:
        return self._off_ms + int(self._second * 1000)

    def pass_s(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._second += seconds

    def set_to(self, wall_ms: int) -> None:
        """Set the clock, and mark it as synchronised or not."""
        self.pass_s(_BEFORE_LOOKING_AGAIN_S)
        self._off_ms = wall_ms - int(self._second * 1000)

    def reboot(self, *, wall_ms: int) -> None:
        """Cut the power, and boot again some time later."""
        self._boots, self._second = self._boots + 1, 5.0
        self._off_ms = wall_ms - 5000


class Strap:
    """A sensor that hands over given values, whether the agent listens or not."""

    def __init__(self) -> None:
        self.queue: list[Measurement] = []
        self.is_heard = False

    async def listen(self, cursors: Mapping[str, int]) -> None:
        self.is_heard = bool(cursors)

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Ignore the cursors."""

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        taken, self.queue = self.queue, []
        return taken


class Gateway:
    """
    An agent on a `Pi`, in one boot after the other.

    Args:
        folder: The folder of its state.

        spool: The spool in this folder.
    """

    def __init__(self, folder: Path, spool: SqliteSpool) -> None:
        self.folder, self.spool = folder, spool
        self.machine, self.strap, self._parties = Pi(), Strap(), Parties()
        self.belief: Belief = "always"
        self._lone = self._agent()

    def _agent(self) -> LoneAgent:
        marker = self.folder / "none"
        self.clock = KeptClock(
            self.folder, belief=self.belief, marker=marker, machine=self.machine
        )
        return LoneAgent(
            self.folder,
            self.spool,
            clock=self.clock,
            sensors=self.strap,
            batch=BatchSettings(max_age_s=0.0),
            undated_s=600.0,
            parties=self._parties,
        )

    def lease(self, version: int, *, issued_at_ms: int) -> bytes:
        """Return a lease of an hour."""
        return self._lone.lease(version, grant(), issued_at_ms=issued_at_ms)

    async def start(self, *leases: bytes) -> None:
        """Start the agent, after *leases* have come."""
        for sealed in leases:
            self._lone.shelve(sealed)
        self._lone = self._agent()
        await self._lone.agent._start()
        await self.round()

    async def take(self, sealed: bytes) -> None:
        """Let the running agent take over a lease."""
        lease = self._lone.agent._leases.offer(sealed)
        assert lease is not None
        await self._lone.agent._adopt(lease)
        await self.round()

    async def reboot(self, *, wall_ms: int) -> None:
        """Cut the power, and start the agent again with this time on the clock."""
        self.machine.reboot(wall_ms=wall_ms)
        await self.start()

    async def round(self) -> None:
        """Run one round of the agent, with a measurement."""
        self.strap.queue = [Measurement(SENSOR, Code.HEART_RATE, self.clock.now_ms(), 60)]
        await self._lone.agent._round()

    async def shows(self, wall_ms: int) -> None:
        """Set the clock, and let the agent notice it."""
        self.machine.set_to(wall_ms)
        await self.round()

    async def runs(self, seconds: float) -> None:
        """Let the agent run on."""
        until = self.machine.second() + seconds
        while self.machine.second() < until:
            self.machine.pass_s(min(60.0, until - self.machine.second()))
            await self.round()

    def is_heard(self) -> bool:
        """Tell whether the agent listens to the sensor."""
        return self.strap.is_heard

    async def kept(self) -> int:
        """Return how many measurements are durable."""
        return len(await self._lone.kept())


@contextlib.asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Gateway]:
    """A gateway that measures under an hour's lease of today."""
    async with opened(folder) as spool:
        home = Gateway(folder, spool)
        await home.start(home.lease(1, issued_at_ms=TODAY_MS))
        assert home.is_heard()
        yield home


async def test_boot_in_2099_costs_nothing(tmp_path: Path) -> None:
    """Measurements while the clock shows 2099 wait for the right time, and get it."""
    async with gateway(tmp_path) as home:
        kept = await home.kept()
        await home.reboot(wall_ms=YEAR_2099_MS)
        assert home.clock.is_wrong()
        assert home.is_heard()
        assert await home.kept() == kept
        await home.shows(TODAY_MS + 60_000)
        assert not home.clock.is_wrong()
        assert await home.kept() == kept + 2
        await home.reboot(wall_ms=TODAY_MS + 120_000)
        assert await home.kept() == kept + 3


async def test_clock_that_was_ahead_costs_one_lease(tmp_path: Path) -> None:
    """
    After a clock that was a year ahead, the right time is accepted, and the next lease
    obeyed.
    """
    async with gateway(tmp_path) as home:
        await home.reboot(wall_ms=TODAY_MS + 365 * 24 * HOUR_MS)
        assert not home.is_heard()
        kept = await home.kept()

        await home.reboot(wall_ms=TODAY_MS + 60_000)
        assert (home.clock.is_wrong(), home.clock.is_dated()) == (False, True)
        assert home.clock.now_ms() == TODAY_MS + 60_000
        assert not home.is_heard()
        # Measurements that come all the same are not kept.
        assert await home.kept() == kept

        await home.start(home.lease(2, issued_at_ms=TODAY_MS + 30_000))
        assert home.is_heard()
        assert await home.kept() == kept + 1


async def test_boot_in_1970_waits_for_the_time(tmp_path: Path) -> None:
    """A clock in 1970 is rejected: measurements wait, and there is no TLS connection."""
    async with gateway(tmp_path) as home:
        kept = await home.kept()
        await home.reboot(wall_ms=0)
        assert (home.clock.is_wrong(), home.clock.is_dated()) == (True, False)
        assert home.is_heard()
        assert await home.kept() == kept
        await home.shows(TODAY_MS + 60_000)
        assert await home.kept() == kept + 2


@pytest.mark.parametrize("wall_ms", [0, TODAY_MS, YEAR_2099_MS], ids=["1970", "today", "2099"])
async def test_stolen_gateway_measures_no_longer_than_its_lease(
    tmp_path: Path, wall_ms: int
) -> None:
    """Without a network, with any clock at each boot, a lease lasts no longer than signed."""
    async with gateway(tmp_path) as home:
        measured_s, boots = 0.0, 0
        while home.is_heard():
            await home.runs(2 * KEEP_EVERY_S)
            measured_s += 2 * KEEP_EVERY_S
            await home.reboot(wall_ms=wall_ms)
            boots += 1
            assert boots < 10
        # Each power cut makes the agent forget at most this much time.
        assert measured_s <= HOUR_MS / 1000 + boots * KEEP_EVERY_S
        for wall_ms_then in (0, TODAY_MS, TODAY_MS + 60_000, YEAR_2099_MS):
            await home.shows(wall_ms_then)
            assert not home.is_heard()


async def test_lease_that_ended_does_not_come_back(tmp_path: Path) -> None:
    """A clock that is set back after the end of a lease does not allow measuring again."""
    async with gateway(tmp_path) as home:
        await home.shows(TODAY_MS + 2 * HOUR_MS)
        kept = await home.kept()
        await home.shows(TODAY_MS + 60_000)
        assert not home.is_heard()
        assert await home.kept() == kept
        await home.reboot(wall_ms=TODAY_MS + 60_000)
        assert not home.is_heard()
        assert await home.kept() == kept


async def test_no_lease_comes_back_in_place_of_the_one_before(tmp_path: Path) -> None:
    """A lease that was seen to end stays ended, whatever happened to the lease before it."""
    async with gateway(tmp_path) as home:
        await home.shows(TODAY_MS + 2 * HOUR_MS)
        await home.shows(TODAY_MS + 60_000)
        await home.take(home.lease(2, issued_at_ms=TODAY_MS + 30_000))
        assert home.is_heard()
        await home.shows(TODAY_MS + 2 * HOUR_MS)
        await home.reboot(wall_ms=TODAY_MS + 90_000)
        assert not home.is_heard()


async def test_lease_tells_how_late_it_is(tmp_path: Path) -> None:
    """An agent that lost its record of the time still measures under its lease, undated."""
    async with gateway(tmp_path) as home:
        kept = await home.kept()
        (tmp_path / NAME).unlink()
        home.belief = "synchronised"
        await home.reboot(wall_ms=TODAY_MS)
        assert home.is_heard()
        assert await home.kept() == kept


async def test_nothing_is_given_up_by_a_clock_that_was_ahead(tmp_path: Path) -> None:
    """Envelopes are given up by elapsed time, and not because a clock was ahead."""
    async with gateway(tmp_path) as home:
        kept = await home.kept()
        assert kept
        await home.runs(60)
        await home.shows(TODAY_MS + 300 * 24 * HOUR_MS)
        await home.runs(60)
        assert await home.kept() > kept

        home.machine.pass_s(15 * 24 * HOUR_MS / 1000)
        await home.round()
        assert await home.kept() == 0


async def test_clock_is_shown_as_known(tmp_path: Path) -> None:
    """A clock that was trusted from the start is reported as known."""
    async with gateway(tmp_path) as home:
        assert home._lone.value("clock_dated") == 1
        await home.reboot(wall_ms=0)
        assert home._lone.value("clock_dated") == 0

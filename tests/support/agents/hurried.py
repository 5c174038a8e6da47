"""An agent with its real parts whose clock runs fast: a day passes in a minute."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from edge_agent.app import assemble
from edge_agent.lease import keys
from edge_agent.metrics import Metrics
from edge_agent.reload import spool_bounds
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SqliteSpool
from edge_agent.uplink.publisher import AiomqttBroker
from edge_agent.values.measurement import Measurement
from runtime.tls_identity import TlsIdentity
from tests.fakes.edge_agent import Gateway
from wire.lease import Lease
from wire.quantities import QUANTITIES, Code

STRAPS: Final = [f"C0:FF:EE:00:00:0{n}" for n in range(4)]
METER: Final = "C0:FF:EE:00:00:0A"
CGM: Final = "C0:FF:EE:00:00:0B"
_CGM_EVERY_S: Final = 300
_METER_EVERY_S: Final = 600
_MAX_TAKEN: Final = 512


class HurriedClock:
    """This machine's clocks plus the time that the test has skipped."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def skip(self, seconds: float) -> None:
        """Advance both clocks by *seconds*."""
        self._skipped_s += seconds

    def now(self) -> float:
        return time.monotonic() + self._skipped_s

    def now_ms(self) -> int:
        return int((time.time() + self._skipped_s) * 1000)

    def is_dated(self) -> bool:
        return True

    def is_wrong(self) -> bool:
        return False

    def look(self) -> int | None:
        return None

    def latest_ms(self) -> int:
        return self.now_ms()

    def sure_ms(self) -> int:
        return self.now_ms()

    def adopt(self, lease: Lease) -> None: ...

    def keep(self, *, is_last: bool = False) -> None: ...


class Household:
    """
    Four straps at 1 Hz, a CGM sensor that measures every five minutes, and a meter now and then.

    Implements the port `Sensors`. While the agent listens and the clock runs fast, each call of
    `take` advances the clock by a second.

    Args:
        clock: The clock of all measurements.
    """

    def __init__(self, clock: HurriedClock) -> None:
        self._clock = clock
        self._second = 0
        self._is_heard = False
        self._start_ms = clock.now_ms()
        self._waiting: list[Measurement] = []
        self.hurries = False
        self.rests = False
        """Whether all sensors have been taken off."""
        self.times: dict[str, list[int]] = {sensor: [] for sensor in (*STRAPS, METER, CGM)}
        """The times of the measurements of each sensor."""

    async def listen(self, cursors: Mapping[str, int]) -> None:
        if cursors and not self._is_heard:
            self._start_ms, self._second = self._clock.now_ms(), 0
        self._is_heard = bool(cursors)

    def advance(self, cursors: Mapping[str, int]) -> None: ...

    async def take(self, *, within_s: float) -> Sequence[Measurement]:
        is_measuring = self._is_heard and not self.rests
        if self.hurries and is_measuring:
            self._clock.skip(1.0)
            await asyncio.sleep(0)
        elif not self._waiting:
            await asyncio.sleep(within_s)
        if is_measuring:
            self._measure()
        taken, self._waiting = self._waiting[:_MAX_TAKEN], self._waiting[_MAX_TAKEN:]
        return taken

    def _measure(self) -> None:
        """Make the measurements of all seconds that have passed."""
        passed = (self._clock.now_ms() - self._start_ms) // 1000
        while self._second < passed:
            self._second += 1
            for n, strap in enumerate(STRAPS):
                self._say(strap, Code.HEART_RATE, 60.0 + (self._second + n) % 100)
            if self._second % _CGM_EVERY_S == 0:
                self._say(CGM, Code.GLUCOSE_INTERSTITIAL, 6.5, record=self._second)
            if self._second % _METER_EVERY_S == 0:
                self._say(METER, Code.GLUCOSE_CAPILLARY, 5.5, record=self._second)

    def _say(self, sensor: str, code: Code, value: float, *, record: int | None = None) -> None:
        at_ms = self._start_ms + self._second * 1000
        self.times[sensor].append(at_ms)
        steps = QUANTITIES[code].to_steps(value)
        self._waiting.append(Measurement(sensor, code, at_ms, steps, record=record))


class HurriedAgent:
    """
    The agent of *gateway* in this process, with its real spool and the real broker.

    Args:
        gateway: The files and settings of the agent.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._settings = gateway.settings
        self.clock = HurriedClock()
        self.household = Household(self.clock)
        self.registry = CollectorRegistry()

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.registry.get_sample_value("vitalveil_agent_" + name, labels) or 0.0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["HurriedAgent"]:
        """Run the agent while the context is open; then stop it gracefully."""
        settings, held = self._settings, keys.read(self._settings.keys)
        settings.state_dir.mkdir(exist_ok=True)
        spool = await SqliteSpool.open(
            settings.state_dir,
            Tags(held.lease),
            new_spool_id=secrets.token_bytes(16),
            bounds=spool_bounds(settings),
        )
        stop = asyncio.Event()
        identity = TlsIdentity(settings.broker.tls)
        agent, live = assemble(
            settings,
            held,
            clock=self.clock,
            sensors=self.household,
            spool=spool,
            broker=AiomqttBroker(settings.broker, identity, agent=settings.agent),
            metrics=Metrics(self.registry),
        )
        live.uplink.forget_within_s = 1.0  # Real seconds, of which a fast day has few.
        task = asyncio.create_task(agent.run(stop), name="agent")
        try:
            yield self
        finally:
            stop.set()
            await task
            await spool.close()

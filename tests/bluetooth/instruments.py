"""What somebody takes in hand to measure once: a cuff, a thermometer, a scale."""

from collections.abc import Sequence

from simulators.sensor.device.attributes import Characteristic, Service
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.device.peripheral import Peripheral

CUFF = "C0:FF:EE:00:00:05"
THERMOMETER = "C0:FF:EE:00:00:06"
SCALE = "C0:FF:EE:00:00:07"


class Instrument(Peripheral):
    """
    Indicates what it measures to whoever listens; has no memory.

    Args:
        address: As in `Peripheral`, and so is what is not named here.

        service: What it is.

        characteristic: What it tells its measurements by.

        clock: Its clock, which can be read and set; None for one that has none.
    """

    def __init__(
        self,
        address: str,
        *,
        service: int,
        characteristic: int,
        clock: SensorClock | None = None,
    ) -> None:
        super().__init__(address, name="Instrument")
        self.advertised = (service,)
        self._characteristic = characteristic
        self._clock = clock

    def services(self) -> Sequence[Service]:
        own = Characteristic(number=self._characteristic, indicates=True)
        clocks = [] if self._clock is None else [self._clock.service()]
        return [Service(self.advertised[0], (own,)), *clocks]

    async def run(self) -> None:
        """Do nothing: it measures when somebody uses it."""

    async def tell_all(self, value: bytes) -> None:
        """Send *value* to whoever listens, once somebody does, and wait until it is confirmed."""
        for link in await self.subscribers(self._characteristic):
            await link.indicate(self._characteristic, value)


def cuff(clock: SensorClock | None = None) -> Instrument:
    """Return a blood pressure monitor."""
    return Instrument(CUFF, service=0x1810, characteristic=0x2A35, clock=clock)


def thermometer(clock: SensorClock | None = None) -> Instrument:
    """Return a thermometer."""
    return Instrument(THERMOMETER, service=0x1809, characteristic=0x2A1C, clock=clock)


def scale(clock: SensorClock | None = None) -> Instrument:
    """Return a weight scale."""
    return Instrument(SCALE, service=0x181D, characteristic=0x2A9D, clock=clock)

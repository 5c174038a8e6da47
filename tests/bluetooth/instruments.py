"""Instruments for single measurements: a blood pressure cuff, a thermometer, a scale."""

from collections.abc import Sequence

from simulators.sensor.device.attributes import Characteristic, Service
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.device.peripheral import Peripheral

CUFF = "C0:FF:EE:00:00:05"
THERMOMETER = "C0:FF:EE:00:00:06"
SCALE = "C0:FF:EE:00:00:07"


class Instrument(Peripheral):
    """
    Indicates what it measures to every subscriber; has no memory.

    Args:
        address: See `Peripheral`, as for all other arguments.

        service: The service of the instrument.

        characteristic: The characteristic that it indicates.

        clock: Its clock, which can be read and set; None for an instrument without a clock.
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
        """Do nothing: it measures only when a test calls `tell_all`."""

    async def tell_all(self, value: bytes) -> None:
        """
        Wait for a subscriber, indicate *value* to every subscriber, and wait for the
        confirmations.
        """
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

"""A pulse oximeter: live while a finger is in, and a spot check that it indicates."""

from collections.abc import Iterator, Sequence
from typing import Final

from edge_agent.gatt import pulse_oximeter
from edge_agent.gatt.pulse_oximeter import ContinuousOximetry, SpotCheck
from simulators.sensor.device.attributes import Characteristic, Service
from simulators.sensor.device.faults import Faults
from simulators.sensor.device.peripheral import Peripheral

SPOT_CHECK: Final = 0x2A5E
CONTINUOUS: Final = 0x2A5F
_FEATURES: Final = 0x2A60
# Pulse Oximeter Service 1.0.1, section 3.4.1: measurement status, sensor status.
_SUPPORTED: Final = b"\x03\x00"


class PulseOximeter(Peripheral):
    """
    Sends one measurement after the other to whoever subscribes; waits while nobody does.

    Args:
        address: As in `Peripheral`, and so is what is not named here.

        measurements: What it shows, in order; it falls silent at their end.

        period_s: Between two of them.
    """

    advertised = (0x1822,)

    def __init__(
        self,
        address: str,
        measurements: Iterator[ContinuousOximetry],
        *,
        period_s: float = 1.0,
        name: str = "Pulse oximeter",
        faults: Faults | None = None,
    ) -> None:
        super().__init__(address, name=name, faults=faults)
        self.period_s = period_s
        self._measurements = measurements

    def services(self) -> Sequence[Service]:
        return [
            Service(
                0x1822,
                (
                    Characteristic(number=SPOT_CHECK, indicates=True),
                    Characteristic(number=CONTINUOUS, notifies=True),
                    Characteristic(number=_FEATURES, read=lambda: _SUPPORTED),
                ),
            )
        ]

    async def run(self) -> None:
        for measurement in self._measurements:
            value = pulse_oximeter.encode_continuous(measurement)
            self.books.measured += 1
            await self.pace(self.period_s)
            for link in await self.subscribers(CONTINUOUS):
                await link.send(CONTINUOUS, value)

    async def check(self, spot: SpotCheck) -> None:
        """Indicate *spot* to whoever listens, and wait until all of them confirm."""
        value = pulse_oximeter.encode_spot_check(spot)
        for link in await self.subscribers(SPOT_CHECK):
            await link.indicate(SPOT_CHECK, value)

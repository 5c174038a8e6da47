"""A pulse oximeter: live values while a finger is in it, and spot checks as indications."""

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
    Sends its measurements to every subscribed central; waits while there is none.

    Args:
        address: As in `Peripheral`, and so is what is not named here.

        measurements: What it sends, in order; afterwards it is silent.

        period_s: Seconds between two measurements.
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
        """Indicate *spot* to every subscribed central, and wait until all of them confirm it."""
        value = pulse_oximeter.encode_spot_check(spot)
        for link in await self.subscribers(SPOT_CHECK):
            await link.indicate(SPOT_CHECK, value)

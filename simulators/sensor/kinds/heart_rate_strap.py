"""A heart rate strap: sends live values, and has no memory."""

from collections.abc import Iterator, Sequence
from typing import Final

from edge_agent.gatt import heart_rate
from edge_agent.gatt.heart_rate import BodySensorLocation, HeartRateMeasurement, Location
from simulators.sensor.device.attributes import Characteristic, Refused, Service
from simulators.sensor.device.faults import Faults
from simulators.sensor.device.link import SensorLink
from simulators.sensor.device.peripheral import Peripheral

MEASUREMENT: Final = 0x2A37
_LOCATION: Final = 0x2A38
_CONTROL: Final = 0x2A39
_RESET_ENERGY: Final = b"\x01"
# Heart Rate Service 1.0, section 1.6: Heart Rate Control Point Not Supported.
_CONTROL_NOT_SUPPORTED: Final = 0x80


class HeartRateStrap(Peripheral):
    """
    Sends its measurements to every subscribed central; waits while there is none.

    Args:
        address: As in `Peripheral`, and so is what is not named here.

        measurements: What it sends, in order; afterwards it is silent.

        period_s: Seconds between two measurements.
    """

    advertised = (0x180D,)

    def __init__(
        self,
        address: str,
        measurements: Iterator[HeartRateMeasurement],
        *,
        period_s: float = 1.0,
        name: str = "HR strap",
        faults: Faults | None = None,
    ) -> None:
        super().__init__(address, name=name, faults=faults)
        self.period_s = period_s
        self.energy_resets = 0
        self._measurements = measurements

    def services(self) -> Sequence[Service]:
        location = heart_rate.encode_location(BodySensorLocation(Location.CHEST))
        return [
            Service(
                0x180D,
                (
                    Characteristic(number=MEASUREMENT, notifies=True),
                    Characteristic(number=_LOCATION, read=lambda: location),
                    Characteristic(number=_CONTROL, write=self._on_control),
                ),
            )
        ]

    async def run(self) -> None:
        for measurement in self._measurements:
            value = heart_rate.encode(measurement)
            self.books.measured += 1
            await self.pace(self.period_s)
            for link in await self.subscribers(MEASUREMENT):
                await link.send(MEASUREMENT, value)

    def _on_control(self, _link: SensorLink, value: bytes) -> None:
        if value != _RESET_ENERGY:
            raise Refused(_CONTROL_NOT_SUPPORTED)
        self.energy_resets += 1

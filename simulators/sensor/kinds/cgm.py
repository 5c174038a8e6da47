"""A CGM sensor: sends each value when it is measured, and keeps it for later requests."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from edge_agent.gatt import cgm
from edge_agent.gatt.cgm import CgmMeasurement, CgmRecord
from edge_agent.gatt.ieee11073 import scaled
from edge_agent.gatt.quirks import Quirks
from simulators.sensor.device.attributes import Characteristic, Service
from simulators.sensor.device.faults import FaultKind, Faults
from simulators.sensor.device.memory import Memory, StoredRecord
from simulators.sensor.device.peripheral import Peripheral
from simulators.sensor.device.record_access import RecordAccess
from simulators.sensor.kinds.cgm_session import CgmSession
from simulators.sensor.signals import WARMING_UP, Reading
from wire.quantities import GLUCOSE_MG_DL_PER_MMOL_L

MEASUREMENT: Final = 0x2AA7
WITH_CRC: Final = Quirks(e2e_crc=True)
"""A sensor whose values end in a checksum, as the specification requires."""
_MAX_RECORDS: Final = 4000
_QUALITY_PERCENT: Final = 98


class CgmSensor(Peripheral):
    """
    Measures whether a central listens or not; records are named by the minute of the session.

    Args:
        address: As in `Peripheral`, and so is what is not named here.

        now: Seconds since 1970.

        readings: What it measures, each when it is due; None if the caller uses `measure`.

        quirks: How the sensor differs from the specification.
    """

    advertised = (0x181F,)

    def __init__(
        self,
        address: str,
        now: Callable[[], float],
        *,
        readings: AsyncIterator[Reading] | None = None,
        name: str = "CGM sensor",
        faults: Faults | None = None,
        quirks: Quirks = WITH_CRC,
    ) -> None:
        super().__init__(address, name=name, faults=faults)
        self.memory = Memory(max_records=_MAX_RECORDS, knows_time=False)
        self.access = RecordAccess(self, self.memory, told_by=MEASUREMENT)
        self.session = CgmSession(self, now, quirks=quirks, restarted=self.memory.clear)
        self._readings = readings
        self._quirks = quirks

    def services(self) -> Sequence[Service]:
        measurement = Characteristic(number=MEASUREMENT, notifies=True)
        access = self.access.characteristic()
        return [Service(0x181F, (measurement, *self.session.characteristics(), access))]

    async def run(self) -> None:
        if self._readings is not None:
            async for reading in self._readings:
                await self.tell_all(self.measure(reading))

    async def tell_all(self, record: StoredRecord) -> None:
        """Send *record* to every subscribed central."""
        for link in [link for link in self.links if link.subscribed(MEASUREMENT)]:
            for number, value in record.values:
                await link.send(number, value)

    def measure(self, reading: Reading, *, minute: int | None = None) -> StoredRecord:
        """Store *reading*, of *minute* of the session or of now, with the faults that are due."""
        self.books.measured += 1
        place = self.books.measured
        if self.faults.strikes(FaultKind.CLOCK_RESET, place):
            self.session.begin()
            self.memory.clear()
        if self.faults.strikes(FaultKind.WARM_UP, place):
            reading = WARMING_UP
        at = self.session.minute() if minute is None else minute
        value = cgm.encode(CgmMeasurement((_record(reading, at),)), self._quirks)
        record = StoredRecord(at, ((MEASUREMENT, value),))
        self.memory.add(record)
        return record


def _record(reading: Reading, minute: int) -> CgmRecord:
    trend = reading.trend_mmol_per_l_min
    bits = reading.annunciation
    is_warm = reading.mmol_per_l > 0
    return CgmRecord(
        concentration_mg_dl=round(reading.mmol_per_l * GLUCOSE_MG_DL_PER_MMOL_L),
        time_offset_min=minute,
        status=bits & 0xFF or None,
        cal_temp=bits >> 8 & 0xFF or None,
        warning=bits >> 16 & 0xFF or None,
        trend_mg_dl_min=(
            None if trend is None else scaled(round(trend * GLUCOSE_MG_DL_PER_MMOL_L * 10), -1)
        ),
        quality_percent=_QUALITY_PERCENT if is_warm else None,
    )

"""A glucose meter: stores what is measured, and sends records on request."""

import datetime
from collections.abc import AsyncIterator, Sequence
from typing import Final

from edge_agent.gatt import glucose, glucose_context
from edge_agent.gatt.glucose import Concentration, GlucoseFeatures, GlucoseMeasurement, GlucoseUnit
from edge_agent.gatt.glucose_context import GlucoseContext, Meal
from edge_agent.gatt.ieee11073 import decimal_of
from edge_agent.gatt.specimen import SampleLocation, SampleType
from simulators.sensor.device.attributes import Characteristic, Service
from simulators.sensor.device.clock import SensorClock, to_date_time
from simulators.sensor.device.faults import FaultKind, Faults
from simulators.sensor.device.memory import Memory, StoredRecord
from simulators.sensor.device.peripheral import Peripheral, Security
from simulators.sensor.device.record_access import RecordAccess
from simulators.sensor.signals import Strip

MEASUREMENT: Final = 0x2A18
CONTEXT: Final = 0x2A34
_FEATURE: Final = 0x2A51
_MAX_RECORDS: Final = 1000
_MAX_SEQUENCE: Final = 0xFFFF
# Glucose Service 1.0.1, section 3.3: low battery, sensor malfunction, general device fault.
_FEATURES: Final = 0x0403
_MOL_PER_MMOL: Final = 0.001
# A ketone value of 0.6 mmol/L, in the mol/L of the field.
_KETONE_MOL_PER_L: Final = 0.0006


class GlucoseMeter(Peripheral):
    """
    Keeps records, numbered from 1, and has a clock that may be wrong.

    Args:
        address: As in `Peripheral`, and so is what is not named here.

        clock: Its clock.

        strips: What its owner measures, each when it is due; None if the caller uses
            `measure`.
    """

    advertised = (0x1808,)

    def __init__(
        self,
        address: str,
        clock: SensorClock,
        *,
        strips: AsyncIterator[Strip] | None = None,
        name: str = "Glucose meter",
        faults: Faults | None = None,
        security: Security | None = None,
    ) -> None:
        super().__init__(address, name=name, faults=faults, security=security)
        self.clock = clock
        self.memory = Memory(max_records=_MAX_RECORDS, knows_time=True)
        self.access = RecordAccess(self, self.memory, told_by=MEASUREMENT)
        self._strips = strips
        self._last_sequence = 0

    def services(self) -> Sequence[Service]:
        features = glucose.encode_features(GlucoseFeatures(_FEATURES))
        secret = self.is_secret
        return [
            Service(
                0x1808,
                (
                    Characteristic(number=MEASUREMENT, notifies=True),
                    Characteristic(number=CONTEXT, notifies=True),
                    Characteristic(number=_FEATURE, read=lambda: features, is_secret=secret),
                    self.access.characteristic(),
                ),
            ),
            self.clock.service(),
        ]

    async def run(self) -> None:
        if self._strips is not None:
            async for strip in self._strips:
                self.measure(strip)

    def measure(self, strip: Strip, *, ago_s: float = 0.0) -> StoredRecord:
        """Store the value of *strip*, with the faults that are due, as of *ago_s* seconds ago."""
        self.books.measured += 1
        place = self.books.measured
        if self.faults.strikes(FaultKind.CLOCK_RESET, place):
            self.reset()
        if self.faults.strikes(FaultKind.KETONE, place):
            strip = Strip(_KETONE_MOL_PER_L / _MOL_PER_MMOL, Meal.KETONE)
        self._last_sequence = self._last_sequence % _MAX_SEQUENCE + 1
        record = self._record(strip, datetime.timedelta(seconds=ago_s))
        self.memory.add(record)
        return record

    def reset(self) -> None:
        """Lose clock, records and count, as a cheap meter does when its battery is changed."""
        self.clock.reset()
        self.memory.clear()
        self._last_sequence = 0

    def _record(self, strip: Strip, ago: datetime.timedelta) -> StoredRecord:
        sequence = self._last_sequence
        measurement = GlucoseMeasurement(
            sequence=sequence,
            base_time=to_date_time(self.clock.base() - ago),
            time_offset_min=self.clock.offset_min or None,
            concentration=_concentration(strip),
            status=strip.status,
            context_follows=strip.meal is not None,
        )
        values = [(MEASUREMENT, glucose.encode(measurement))]
        if strip.meal is not None:
            context = GlucoseContext(sequence=sequence, meal=strip.meal)
            values.append((CONTEXT, glucose_context.encode(context)))
        return StoredRecord(sequence, tuple(values), self.clock.shown() - ago)


def _concentration(strip: Strip) -> Concentration | None:
    if strip.mmol_per_l is None:
        return None
    return Concentration(
        decimal_of(strip.mmol_per_l * _MOL_PER_MMOL),
        GlucoseUnit.MOL_PER_L,
        SampleType.CAPILLARY_WHOLE_BLOOD,
        SampleLocation.FINGER,
    )

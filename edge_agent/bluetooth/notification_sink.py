"""Receives the values of one sensor: counts, limits, decodes, dates them and passes them on."""

from collections.abc import Callable

import msgspec

from edge_agent.bluetooth import flow_limit, readings
from edge_agent.bluetooth.clock_memory import ClockMemory, RecentClocks
from edge_agent.bluetooth.dating import Dater, SensorClock
from edge_agent.bluetooth.inbox import Inbox
from edge_agent.bluetooth.radio.metrics import Drop, RadioMetrics
from edge_agent.gatt import registry
from edge_agent.gatt.errors import DecodeError
from edge_agent.gatt.meaning import Outcome
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from edge_agent.gatt.registry import Characteristic
from edge_agent.ports import Clock
from edge_agent.values.measurement import Measurement
from wire.refusals import DecodeFault, Refusal

MAX_VALUE_BYTES = 512
"""The longest attribute (Core specification, volume 3, part F, section 3.2.9)."""


class SharedState(msgspec.Struct, frozen=True):
    """The parts that the sinks of all sensors share."""

    inbox: Inbox
    metrics: RadioMetrics
    clock: Clock
    refused: Callable[[Refusal], None]
    """Counts a value that became no measurement."""
    clocks: ClockMemory = msgspec.field(default_factory=RecentClocks)


class NotificationSink:
    """
    Receives what one sensor sends during one connection.

    Args:
        sensor: The address of the sensor.

        shared: The inbox, metrics and clock of all sensors.

        progressed: Called for each value that can be decoded: it proves that the radio works.
    """

    def __init__(self, sensor: str, shared: SharedState, progressed: Callable[[], None]) -> None:
        self.sensor = sensor
        self.quirks: Quirks = NO_QUIRKS
        self.dater: Dater = SensorClock()
        self._shared = shared
        self._progressed = progressed
        self._flow = flow_limit.FlowLimit(now=shared.clock.now())
        self.heard_at = shared.clock.now()
        """When the last value came, in seconds of the monotonic clock."""

    @property
    def metrics(self) -> RadioMetrics:
        """The metrics of the radio."""
        return self._shared.metrics

    @property
    def clock(self) -> Clock:
        """The clocks of this machine."""
        return self._shared.clock

    @property
    def is_flooded(self) -> bool:
        """Whether the sensor has sent so much that it must be disconnected."""
        return self._flow.is_flooded

    def admit(self) -> bool:
        """Tell whether one more notification is within the limit; if not, count it as dropped."""
        if self._flow.allows(now=self.clock.now()):
            return True
        self.metrics.dropped(Drop.FLOOD)
        self._shared.refused(Refusal.FLOOD)
        return False

    def decode(self, characteristic: Characteristic, value: bytes) -> msgspec.Struct | None:
        """Return the measurement in *value*; None, counted, if the bytes hold none."""
        self.metrics.received(characteristic.name)
        self.heard_at = self.clock.now()
        if len(value) > MAX_VALUE_BYTES:
            self._undecoded(characteristic, DecodeFault.OVERSIZED)
            return None
        try:
            measurement = characteristic.decode(value, self.quirks)
        except DecodeError as exc:
            self._undecoded(characteristic, exc.reason)
            return None
        self._progressed()
        return measurement

    def _undecoded(self, characteristic: Characteristic, reason: DecodeFault) -> None:
        self.metrics.undecoded(characteristic.name, reason)
        self._shared.refused(Refusal.MALFORMED)

    def live(
        self, characteristic: Characteristic, value: bytes, *, is_single: bool = False
    ) -> None:
        """
        Decode a notification that the sensor does not store, and pass its values on.

        Args:
            characteristic: The characteristic that was notified.

            value: The bytes of the notification.

            is_single: Whether a person took the measurement on purpose; the inbox keeps a reserve
                for such values.
        """
        if not self.admit():
            return
        measurement = self.decode(characteristic, value)
        if measurement is None:
            return
        user = registry.user_of(measurement)
        for outcome in registry.observations(measurement, self.quirks):
            measured = self.measure(outcome, record=None)
            stamp_s = readings.stamp_of(outcome) if is_single else None
            self.hand_on(
                msgspec.structs.replace(measured, is_single=is_single, user=user, stamp_s=stamp_s)
            )

    @property
    def clocks(self) -> ClockMemory:
        """The inner clocks of meters, as they were at the last contact."""
        return self._shared.clocks

    def measure(
        self, outcome: Outcome, *, record: int | None, dater: Dater | None = None
    ) -> Measurement:
        """Return *outcome* as a measurement, dated by *dater* or else by the sink's."""
        now_ms = self.clock.now_ms()
        return readings.measure(
            self.sensor, outcome, dater or self.dater, now_ms=now_ms, record=record
        )

    def hand_on(self, measurement: Measurement) -> bool:
        """Put *measurement* into the inbox; return False, counted, if there is no room."""
        has_room = self._shared.inbox.offer(measurement)
        if not has_room:
            self.metrics.dropped(Drop.NO_ROOM)
            self._shared.refused(Refusal.FLOOD)
        return has_room

    async def put(self, measurement: Measurement) -> None:
        """Put *measurement* into the inbox; wait until there is room."""
        await self._shared.inbox.put(measurement)

"""The metrics of the radio. Labels come from closed enums, never from a sensor."""

import enum
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from edge_agent.bluetooth.dating import ClockVerdict
from edge_agent.bluetooth.errors import (
    BluetoothError,
    BondRefused,
    CallTimedOut,
    Endless,
    Flooding,
    LinkLost,
    NotAuthorised,
    SensorRefused,
    Silent,
    StackError,
)
from edge_agent.bluetooth.radio.escalation import Action
from edge_agent.gatt.registry import CHARACTERISTICS
from wire.refusals import DecodeFault

_PREFIX: Final = "vitalveil_agent_"


class Ending(enum.StrEnum):
    """How an attempt to talk to a sensor ended."""

    DONE = "done"
    """All records were fetched, and the agent disconnected."""
    LOST = "lost"
    TIMED_OUT = "timed_out"
    SILENT = "silent"
    NOT_AUTHORISED = "not_authorised"
    """The sensor wants to be paired."""
    BOND_REFUSED = "bond_refused"
    """The sensor was paired here, has lost its bond, and must be paired again."""
    REFUSED = "refused"
    FLOODING = "flooding"
    ENDLESS = "endless"
    STACK = "stack"
    OTHER = "other"


class Drop(enum.StrEnum):
    """Why a notification was dropped, before or after decoding."""

    FLOOD = "flood"
    NO_ROOM = "no_room"
    UNASKED = "unasked"
    """A stored record that was not requested (yet). The sensor still has it."""


_ENDINGS: Final[tuple[tuple[type[BluetoothError], Ending], ...]] = (
    (LinkLost, Ending.LOST),
    (CallTimedOut, Ending.TIMED_OUT),
    (Silent, Ending.SILENT),
    (NotAuthorised, Ending.NOT_AUTHORISED),
    (BondRefused, Ending.BOND_REFUSED),
    (SensorRefused, Ending.REFUSED),
    (Flooding, Ending.FLOODING),
    (Endless, Ending.ENDLESS),
    (StackError, Ending.STACK),
)


def ending_of(error: BluetoothError) -> Ending:
    """Return the ending that *error* stands for."""
    return next((end for kind, end in _ENDINGS if isinstance(error, kind)), Ending.OTHER)


class RadioMetrics:
    """
    The metrics of the radio of one agent.

    Args:
        registry: The registry of the agent.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.bound = self._gauge("bound_sensors", "Sensors that the lease names.")
        self.linked = self._gauge("connected_sensors", "Sensors of the lease that are connected.")
        self._adverts = self._counter(
            "advertisements", "Advertisements heard.", "sender", ("bound", "stranger")
        )
        self.connections = self._plain("sensor_connections", "Connections made.")
        self._ended = self._counter(
            "sensor_attempts",
            "Attempts to connect to a sensor, by how they ended.",
            "ending",
            Ending,
        )
        self._recoveries = self._counter(
            "recoveries", "Actions that were tried to recover the radio.", "action", Action
        )
        names = sorted(c.name for c in CHARACTERISTICS.values())
        self._values = self._counter("sensor_values", "Values received.", "characteristic", names)
        self._undecoded = Counter(
            _PREFIX + "decode_errors",
            "Bytes of a characteristic that hold no value.",
            ["characteristic", "reason"],
            registry=registry,
        )
        self._dropped = self._counter(
            "dropped_notifications", "Notifications given up.", "reason", Drop
        )
        self.records = self._plain("fetched_records", "Stored records received.")
        self.fetches = self._plain("record_fetches", "Reports of stored records, complete.")
        self.short_reports = self._plain(
            "short_reports", "Reports with fewer records than the sensor had counted."
        )
        self.resets = self._plain("sensor_resets", "Cleared memories and new sessions of sensors.")
        self.clocks = self._plain(
            "corrected_clocks", "Clocks of sensors that were wrong by a minute or more."
        )
        self._inner_clocks = self._counter(
            "meter_clocks",
            "Contacts with meters, by what they told about the clock that dates the records.",
            "verdict",
            ClockVerdict,
        )
        self.host_deaths = self._plain("bluetooth_deaths", "Times that bluetoothd stopped.")

    def _plain(self, name: str, text: str) -> Counter:
        return Counter(_PREFIX + name, text, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(_PREFIX + name, text, registry=self._registry)

    def _counter(self, name: str, text: str, label: str, values: Iterable[str]) -> Counter:
        counter = Counter(_PREFIX + name, text, [label], registry=self._registry)
        for value in values:
            counter.labels(str(value))
        return counter

    def heard(self, *, bound: bool) -> None:
        """Count an advertisement."""
        self._adverts.labels("bound" if bound else "stranger").inc()

    def ended(self, ending: Ending) -> None:
        """Count an attempt to talk to a sensor."""
        self._ended.labels(ending.value).inc()

    def read_clock(self, verdict: ClockVerdict) -> None:
        """Count a contact with a meter."""
        self._inner_clocks.labels(verdict.value).inc()

    def tried(self, action: Action) -> None:
        """Count a step of recovery."""
        self._recoveries.labels(action.value).inc()

    def received(self, characteristic: str) -> None:
        """Count a value."""
        self._values.labels(characteristic).inc()

    def undecoded(self, characteristic: str, reason: DecodeFault) -> None:
        """Count bytes of *characteristic* that hold no value."""
        self._undecoded.labels(characteristic, reason.value).inc()

    def dropped(self, reason: Drop) -> None:
        """Count a notification that was given up."""
        self._dropped.labels(reason.value).inc()

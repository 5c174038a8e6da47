"""From what a sensor observed to the measurements that the port hands over. Pure."""

from typing import Final

from edge_agent.bluetooth.dating import Dater
from edge_agent.gatt.meaning import Observation, Outcome, Refusal
from edge_agent.values.measurement import Fault, Measurement
from wire.quantities import QUANTITIES

_UNDATED: Final = Fault(Refusal.UNDATED.value)


def measure(
    sensor: str, outcome: Outcome, dater: Dater, *, now_ms: int, record: int | None = None
) -> Measurement:
    """
    Return *outcome* as a measurement of *sensor*; a refusal becomes the fault of one.

    So that whatever a sensor sent is counted, and a stored record that is no reading moves the
    cursor too.

    Args:
        sensor: Its address.

        outcome: What one of its values observes.

        dater: Tells when.

        now_ms: When the value came.

        record: Its number in the sensor's store.
    """
    if not isinstance(outcome, Observation):
        fault = Fault(outcome.reason.value)
        return Measurement(sensor, outcome.quantity, now_ms, None, fault, record)
    at_ms = dater.at_ms(outcome.when, now_ms=now_ms)
    if at_ms is None:
        return Measurement(sensor, outcome.quantity, now_ms, None, _UNDATED, record)
    value = QUANTITIES[outcome.quantity].to_unit(outcome.steps)
    return Measurement(sensor, outcome.quantity, at_ms, value, None, record)

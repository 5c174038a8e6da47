"""Date the outcomes of a sensor, as the measurements that the port `Sensors` hands over. Pure."""

from edge_agent.bluetooth.dating import Dater, shown_ms
from edge_agent.gatt.meaning import Observation, Outcome
from edge_agent.values.measurement import Measurement
from wire.envelope import Flag
from wire.refusals import Refusal


def measure(
    sensor: str, outcome: Outcome, dater: Dater, *, now_ms: int, record: int | None = None
) -> Measurement:
    """
    Return *outcome* as a measurement of *sensor*; a refusal becomes a measurement with a fault.

    In this way each value that a sensor sent is counted, and a stored record that holds no reading
    moves the cursor as well.

    Args:
        sensor: The sensor's address.

        outcome: An observation or a refusal, decoded from one of its values.

        dater: Turns the sensor's time into ms since 1970.

        now_ms: When the value came, ms since 1970.

        record: The record's number in the sensor's store; None for a live notification.
    """
    if not isinstance(outcome, Observation):
        return Measurement(sensor, outcome.quantity, now_ms, None, outcome.reason, record)
    at_ms = dater.at_ms(outcome.when, now_ms=now_ms)
    if at_ms is None:
        return Measurement(sensor, outcome.quantity, now_ms, None, Refusal.UNDATED, record)
    flags = Flag.TIME_UNCERTAIN if dater.is_uncertain else 0
    return Measurement(
        sensor, outcome.quantity, at_ms, outcome.steps, None, record, flags=int(flags)
    )


def stamp_of(outcome: Outcome) -> int | None:
    """Return when *outcome* was measured by the sensor's own clock, in s; None if it has none."""
    if not isinstance(outcome, Observation) or outcome.when.sensor_time is None:
        return None
    return shown_ms(outcome.when.sensor_time) // 1000

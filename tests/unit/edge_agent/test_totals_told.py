"""The agent's counters in its state message."""

from prometheus_client import CollectorRegistry

from edge_agent.bluetooth.radio.metrics import Ending, RadioMetrics
from edge_agent.metrics import Metrics
from edge_agent.ports import Amount
from wire.refusals import Refusal
from wire.totals import FAMILIES, LEASE_TAKEN_MS, LEVELS


def test_counters_are_told_by_the_names_of_the_wire() -> None:
    """Every counter has a name that ingest knows, and the right value."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    radio = RadioMetrics(registry)
    metrics.refused(Refusal.OFF_BODY, 3)
    metrics.appended(Amount(1, 5))
    metrics.settled(Amount(1, 4))
    metrics.broker_errors.inc()
    radio.ended(Ending.LOST)
    radio.linked.set(2)
    metrics.took_lease(7, 1_000, 3_500)

    totals, levels = metrics.told()

    assert totals == {
        "measurements.refused": 3,
        "measurements.kept": 5,
        "refused_measurements.off_body": 3,
        "observations.appended": 5,
        "observations.settled": 4,
        "faults.broker_errors": 1,
        "sensor_attempts.lost": 1,
    }
    assert levels == {"connected_sensors": 2, LEASE_TAKEN_MS: 2500}
    known = {key for family in FAMILIES for key in family.names()}
    assert totals.keys() <= known
    assert levels.keys() <= {*LEVELS, LEASE_TAKEN_MS}


def test_what_has_no_name_is_told_as_something_else() -> None:
    """An ending without a name on the wire is counted as `other`."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    RadioMetrics(registry).ended(Ending.OTHER)
    assert metrics.told()[0] == {"sensor_attempts.other": 1}


def test_a_lease_from_the_future_took_no_time() -> None:
    """The propagation time of a lease is never negative, even if clocks differ."""
    metrics = Metrics(CollectorRegistry())
    metrics.took_lease(1, 9_000, 3_000)
    assert metrics.told()[1] == {}

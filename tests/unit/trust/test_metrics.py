"""Trust's metrics of periodic work."""

import time

from trust.metrics import Metrics


def test_work_by_the_clock_counts_from_the_start() -> None:
    """
    The age of periodic work counts from the daemon's start, so that work that never runs is
    visible.
    """
    metrics = Metrics()
    name = "vitalveil_trust_maintained_timestamp_seconds"
    for what in ("rolled_up", "retained"):
        at = metrics.registry.get_sample_value(name, {"what": what})
        assert at is not None
        assert abs(at - time.time()) < 60

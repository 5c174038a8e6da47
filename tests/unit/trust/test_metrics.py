"""What trust shows of work that is done by the clock."""

import time

from trust.metrics import Metrics


def test_work_by_the_clock_counts_from_the_start() -> None:
    """A daemon that never gets to it is late too: absent would look like no daemon."""
    metrics = Metrics()
    name = "vitalveil_trust_maintained_timestamp_seconds"
    for what in ("rolled_up", "retained"):
        at = metrics.registry.get_sample_value(name, {"what": what})
        assert at is not None
        assert abs(at - time.time()) < 60

"""The metrics of ingest."""

import itertools
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from ingest.admission.plan import conclude
from ingest.metrics import ManyHistogram, Metrics, fine_buckets
from ingest.ports import Stored
from tests.fakes.ingest import NOW_MS, block, opened
from tests.unit.ingest.admission.test_plan import bad_seal, plan_of
from wire.quantities import MISSING, Code


def test_buckets_are_fine_where_it_matters() -> None:
    """Buckets are about 1.3 apart below 2 s, and reach from a millisecond to an hour."""
    bounds = fine_buckets()
    assert (bounds[0], bounds[-1]) == (0.001, 3600.0)
    assert all(b / a < 1.31 for a, b in itertools.pairwise(bounds) if b < 2)
    assert sorted(set(bounds)) == bounds


def test_many_values_at_once_count_as_one_by_one() -> None:
    """
    Observing many values at once equals observing each; a value on a bound belongs to
    its bucket.
    """
    registry = CollectorRegistry()
    histogram = ManyHistogram("h", "test", [0.1, 1.0])
    registry.register(histogram)
    histogram.observe_all(np.array([0.05, 0.1, 0.5, 7.0]))
    assert [
        registry.get_sample_value("h_bucket", {"le": le}) for le in ("0.1", "1.0", "+Inf")
    ] == [2.0, 3.0, 4.0]
    assert registry.get_sample_value("h_count") == 4.0
    assert registry.get_sample_value("h_sum") == pytest.approx(7.65)


def test_everything_received_is_accounted_for() -> None:
    """Received = stored + duplicate + refused + quarantined + abandoned + in flight."""
    metrics = Metrics()
    metrics.note_received(8)
    metrics.note_abandoned(1)
    plan = plan_of(
        opened(block(70, MISSING, 71), block(95, quantity=Code.SPO2)),
        opened(block(72), sequence=2),
        opened(block(5), sequence=3),
        bad_seal(4),
        opened(block(73), sequence=2),
    )
    fates, _ = conclude(plan, {})
    metrics.note_stored(Stored(plan, fates, NOW_MS, 0.1))

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"vitalveil_ingest_{name}", labels)

    assert value("in_flight_envelopes") == 2
    assert {
        o: value("envelopes_total", outcome=o)
        for o in ("stored", "duplicate", "refused", "quarantined")
    } == {"stored": 2, "duplicate": 1, "refused": 1, "quarantined": 1}
    assert {
        o: value("observations_total", outcome=o)
        for o in ("stored", "duplicate", "refused", "quarantined")
    } == {"stored": 3, "duplicate": 1, "refused": 2, "quarantined": 0}
    assert value("stored_observations_total", quantity="heart_rate") == 3
    assert value("refused_envelopes_total", reason="implausible") == 1
    assert value("refused_observations_total", reason="implausible") == 1
    assert value("refused_observations_total", reason="not_permitted") == 1
    assert value("quarantined_envelopes_total", reason="bad_seal") == 1
    assert value("measured_to_queryable_seconds_count") == 2


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads alternate as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("restless")
def test_the_books_balance_at_every_scrape() -> None:
    """The counts balance in every scrape, whatever is counted while /metrics is written."""
    metrics, enough = Metrics(), threading.Event()
    plan = plan_of(opened(block(70)), bad_seal(2))
    stored = Stored(plan, conclude(plan, {})[0], NOW_MS, 0.1)

    def work() -> None:
        while not enough.is_set():
            metrics.note_received(3)
            metrics.note_abandoned(1)
            metrics.note_stored(stored)

    working = threading.Thread(target=work)
    working.start()
    try:
        for _ in range(300):
            found = {
                (s.name.removeprefix("vitalveil_ingest_"), *s.labels.values()): s.value
                for family in metrics.registry.collect()
                for s in family.samples
            }
            settled = sum(n for (name, *_), n in found.items() if name == "envelopes_total")
            assert found["received_envelopes_total",] == (
                settled + found["abandoned_envelopes_total",] + found["in_flight_envelopes",]
            )
    finally:
        enough.set()
        working.join()


def test_clocks_that_are_ahead_take_nothing_from_the_sum() -> None:
    """A delay that is negative, because a gateway's clock is ahead, counts as 0."""
    metrics = Metrics()
    plan = plan_of(opened(block(70, start_ms=NOW_MS)))
    metrics.note_stored(Stored(plan, conclude(plan, {})[0], NOW_MS - 4_000, 0.1))
    name = "vitalveil_ingest_measured_to_queryable_seconds_"
    assert metrics.registry.get_sample_value(name + "sum") == 0
    assert metrics.registry.get_sample_value(name + "count") == 1


def test_labels_name_nobody() -> None:
    """Every label value is from a closed set that exists from the start."""
    metrics = Metrics()
    before = {(s.name, *s.labels.items()) for f in metrics.registry.collect() for s in f.samples}
    plan = plan_of(opened(block(70)))
    metrics.note_stored(Stored(plan, conclude(plan, {})[0], NOW_MS, 0.1))
    after = {(s.name, *s.labels.items()) for f in metrics.registry.collect() for s in f.samples}
    assert after == before

"""The sums of all gateways' counters."""

from prometheus_client import CollectorRegistry, generate_latest

from ingest.gateway_counters import GatewayCounters
from wire.state import SpoolState, State

A, B = "00000000000000aa", "00000000000000bb"
_P = "vitalveil_ingest_fleet_"


def _told(kept: int, *, lease: int = 1, taken_ms: int = 0, **fields: int) -> State:
    totals = {"measurements.kept": kept, **{k.replace("__", "."): v for k, v in fields.items()}}
    return State(
        online=True,
        software="1",
        lease=lease,
        measuring=True,
        spools=[SpoolState("ab" * 16, 1, 4)],
        totals=totals,
        levels={"spool_bytes": 100, "spool_oldest_ms": 1500, "lease_taken_ms": taken_ms},
    )


def _offline() -> State:
    return State(online=False, software="1", spools=[SpoolState("ab" * 16, 1, 6)])


class _Shown:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.fleet = GatewayCounters()
        self.registry.register(self.fleet)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(_P + name, labels)


def test_sums_grow_by_what_gateways_count() -> None:
    """Counts from before the first state of a gateway are not added."""
    shown = _Shown()
    shown.fleet.note(A, _told(100))
    assert shown.value("measurements_total", outcome="kept") == 0
    shown.fleet.note(A, _told(105))
    shown.fleet.note(B, _told(7))
    shown.fleet.note(B, _told(8))
    assert shown.value("measurements_total", outcome="kept") == 6


def test_a_state_heard_twice_counts_once() -> None:
    """A retained state that is received again is counted once."""
    shown = _Shown()
    for _ in range(3):
        shown.fleet.note(A, _told(100))
    shown.fleet.note(A, _told(101))
    shown.fleet.note(A, _told(101))
    assert shown.value("measurements_total", outcome="kept") == 1


def test_a_gateway_that_starts_anew_counts_from_zero() -> None:
    """After a restart of a gateway its counters are added from zero."""
    shown = _Shown()
    shown.fleet.note(A, _told(100, faults__broker_errors=5))
    shown.fleet.note(A, _told(3, faults__broker_errors=6))
    assert shown.value("measurements_total", outcome="kept") == 3
    assert shown.value("faults_total", fault="broker_errors") == 6


def test_a_will_takes_no_count_back() -> None:
    """The will of a gateway does not reduce its counts, and they continue afterwards."""
    shown = _Shown()
    shown.fleet.note(A, _told(100))
    shown.fleet.note(A, _offline())
    assert shown.value("agents", state="offline") == 1
    shown.fleet.note(A, _told(101))
    assert shown.value("measurements_total", outcome="kept") == 1
    assert (shown.value("agents", state="online"), shown.value("agents", state="offline")) == (
        1,
        0,
    )


def test_levels_are_of_the_gateways_online() -> None:
    """Levels are summed over online gateways; the spool depth also over those that are offline."""
    shown = _Shown()
    shown.fleet.note(A, _told(1))
    shown.fleet.note(B, _offline())
    assert shown.value("spool_envelopes") == 10
    assert shown.value("spool_bytes") == 100
    assert shown.value("spool_oldest_seconds") == 1.5
    assert shown.value("measuring_agents") == 1


def test_propagation_counts_each_new_lease_once() -> None:
    """The propagation time of each new lease is counted once, and not for a lease from before."""
    shown = _Shown()
    shown.fleet.note(A, _told(1, lease=3, taken_ms=90_000))
    assert shown.value("lease_propagation_seconds_count") == 0
    shown.fleet.note(A, _told(1, lease=4, taken_ms=150))
    shown.fleet.note(A, _told(2, lease=4, taken_ms=150))
    assert shown.value("lease_propagation_seconds_count") == 1
    assert shown.value("lease_propagation_seconds_bucket", le="0.2") == 1
    assert shown.value("lease_propagation_seconds_bucket", le="0.1") == 0


def test_series_do_not_grow_with_the_fleet() -> None:
    """A thousand gateways have as many series as one, without a gateway's name."""
    one, many = _Shown(), _Shown()
    one.fleet.note(A, _told(1))
    for number in range(10_000):
        many.fleet.note(f"{number:016x}", _told(1, measurements__stranger=4))
    texts = [generate_latest(shown.registry).decode() for shown in (one, many)]
    names = [
        {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        for text in texts
    ]
    assert names[0] == names[1]
    assert "0000000000" not in texts[1]

"""Sources: each sensor has intervals and an end of its own; and times that are rounded."""

import pytest

from ingest.admission.admit import Admission, admit
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings
from ingest.admission.permissions import Permissions
from ingest.values.delivery import Opened
from ingest.values.outcome import Reason
from tests.fakes.ingest import AGENT, NOW_MS, changes, knowing, opened, permission
from wire.envelope import Block, pack_block
from wire.quantities import Code

START_MS = NOW_MS // 3_600_000 * 3_600_000 - 3_600_000
HOME, WORK, AGAIN = b"1" * 16, b"2" * 16, b"3" * 16
MINUTE = (1, 60_000, 1)


def at(*offsets_ms: int) -> Block:
    """Return a block with an observation at each offset from the start."""
    return pack_block(
        Code.HEART_RATE, [START_MS + offset for offset in offsets_ms], [70] * len(offsets_ms)
    )


def stored(admission: Admission) -> list[int]:
    """Return the offsets that are to be stored."""
    return [int(time) - START_MS for time in admission.rows.times_ms]


def decide(permissions: Permissions, *some: Opened, last: LastReadings) -> Admission:
    """Admit *some*, and take what is admitted for stored."""
    reserved = last.reserve()
    found = admit(some, permissions=permissions, last=reserved, clock=ClockRules(), now_ms=NOW_MS)
    reserved.settle()
    return found


def two_meters(*, third: int = 7) -> Permissions:
    """Return permissions of two sensors of one series, and of a further handle of a sensor."""
    return knowing(
        permission(handle=HOME, series_id=7, source=7, rule=MINUTE),
        permission(handle=WORK, series_id=7, source=8, rule=MINUTE),
        permission(handle=AGAIN, series_id=7, source=third, rule=MINUTE),
    )


@pytest.mark.parametrize("is_one_flush", [True, False], ids=["one flush", "two"])
def test_two_sensors_share_no_interval(is_one_flush: bool) -> None:
    """Readings of two sensors in the same intervals are all stored, sorted by time."""
    permissions, last = two_meters(), LastReadings()
    some = [
        opened(at(0, 120_000, 240_000), handle=HOME, sequence=1),
        opened(at(10, 120_010, 180_000), handle=WORK, sequence=2),
    ]

    found = [
        decide(permissions, *part, last=last) for part in ([some] if is_one_flush else zip(some))
    ]

    times = [time for admission in found for time in stored(admission)]
    assert sorted(times) == [0, 10, 120_000, 120_010, 180_000, 240_000]
    assert all(stored(admission) == sorted(stored(admission)) for admission in found)


def test_rows_of_two_sensors_are_sorted_by_time() -> None:
    """Regular blocks of two sensors of a series that overlap are stored in the order of time."""
    some = [
        opened(at(0, 120_000), handle=HOME, sequence=1),
        opened(at(60_010, 180_010), handle=WORK, sequence=2),
    ]

    found = decide(two_meters(), *some, last=LastReadings())

    assert stored(found) == [0, 60_010, 120_000, 180_010]


def test_one_sensor_at_two_gateways_is_one_source() -> None:
    """What two gateways heard of one sensor is stored once, as the policy's interval has it."""
    permissions, last = two_meters(), LastReadings()

    first = decide(permissions, opened(at(0, 60_000), handle=HOME, sequence=1), last=last)
    second = decide(permissions, opened(at(0, 60_000), handle=AGAIN, sequence=2), last=last)

    assert (stored(first), stored(second)) == ([0, 60_000], [])
    assert second.verdicts == [Reason.POLICY_EXCEEDED]


def test_a_handle_of_before_is_all_sensors() -> None:
    """Without a source, all sensors of a person share the intervals, as they did."""
    permissions, last = (
        knowing(
            permission(handle=HOME, series_id=7, rule=MINUTE),
            permission(handle=WORK, series_id=7, rule=MINUTE),
        ),
        LastReadings(),
    )

    decide(permissions, opened(at(0), handle=HOME, sequence=1), last=last)
    second = decide(permissions, opened(at(10), handle=WORK, sequence=2), last=last)

    assert second.verdicts == [Reason.POLICY_EXCEEDED]


@pytest.mark.parametrize(
    ("offset_ms", "verdict"),
    [
        pytest.param(-1, None, id="before it was unbound"),
        pytest.param(0, Reason.OUTSIDE_PERIOD, id="then"),
        pytest.param(60_000, Reason.OUTSIDE_PERIOD, id="after"),
    ],
)
def test_an_unbound_sensor_ends_with_what_it_measured(
    offset_ms: int, verdict: Reason | None
) -> None:
    """What was measured before is stored although it comes later; from then on it is refused."""
    permissions = knowing(permission(measured_to_ms=START_MS))

    found = decide(permissions, opened(at(offset_ms)), last=LastReadings())

    assert found.verdicts == [verdict]


@pytest.mark.parametrize("time_step_ms", [1, 1000, 60_000, 900_000, 3_600_000])
@pytest.mark.parametrize(
    "begins", ["the consent", "the lease"], ids=["after a consent", "after a lease"]
)
@pytest.mark.parametrize("began_ms", [0, 1, 17_000, 59_999, 3_599_999])
def test_the_first_reading_is_stored_under_every_rounding(
    time_step_ms: int, begins: str, began_ms: int
) -> None:
    """A time that is rounded down is held against a beginning that is rounded down."""
    begins_ms = START_MS + began_ms
    rule = (1, time_step_ms, time_step_ms)
    permissions = knowing(
        permission(valid_from_ms=begins_ms if begins == "the consent" else 0, rule=rule)
    )
    if begins == "the lease":
        # Ingest lets the clocks of trust and gateway be a minute apart.
        leases = [(AGENT, 1, begins_ms + 60_000, 1 << 50)]
        permissions.apply(changes(2, leases=leases))
    measured_ms = began_ms // time_step_ms * time_step_ms

    first = decide(permissions, opened(at(measured_ms)), last=LastReadings())
    before = decide(permissions, opened(at(measured_ms - time_step_ms)), last=LastReadings())

    assert first.verdicts == [None]
    refused = Reason.OUTSIDE_PERIOD if begins == "the consent" else Reason.LEASE_EXPIRED
    assert before.verdicts == [refused]

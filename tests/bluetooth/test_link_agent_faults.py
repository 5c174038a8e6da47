"""
Every fault of a virtual sensor against the agent's radio: the counters, and the values that
remain.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import pytest

from edge_agent.bluetooth.records import record_assembler
from simulators.sensor.device.faults import FaultKind, parse
from simulators.sensor.device.peripheral import Peripheral
from simulators.sensor.kinds.cgm import CgmSensor
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from simulators.sensor.kinds.heart_rate_strap import HeartRateStrap
from simulators.sensor.signals import Reading
from tests.bluetooth.air import (
    CGM,
    METER,
    PERIOD_S,
    fetches,
    fill,
    meter_with,
    places,
    radio,
    rates,
    sensor_with,
)
from tests.bluetooth.straps import strap
from tests.fakes.bluetooth import Collector, ToldHost, collecting
from tests.fixtures.link import AirLink
from wire.refusals import Refusal

RECORDS: Final = 4
METERS_REPORT: Final = 3
"""
The number of the request for a meter's records: after those for the newest record and
the count.
"""
SESSIONS_REPORT: Final = 2
"""The number of the request for a session's records: after that for the count."""


def worn(fault: str) -> HeartRateStrap:
    """Return a strap at 25 Hz."""
    return strap(fault, period_s=PERIOD_S)


def meter(fault: str) -> GlucoseMeter:
    """Return a meter with records."""
    return meter_with(RECORDS, fault)


def session(fault: str) -> CgmSensor:
    """Return a CGM sensor with records."""
    return sensor_with(RECORDS, fault)


def flows(collector: Collector) -> bool:
    """Tell whether values of a strap have come for some time."""
    return len(rates(collector)) >= 40


def fetched(collector: Collector) -> bool:
    """Tell whether all records were fetched."""
    return fetches(collector) >= 1


def ended(collector: Collector, ending: str) -> bool:
    """Tell whether an attempt ended with *ending*."""
    return collector.value("sensor_attempts_total", ending=ending) >= 1


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A fault, the sensor that has it, and the expected result."""

    fault: str
    make: Callable[[str], Peripheral]
    done: Callable[[Collector], bool]
    counted: Mapping[str, float]
    """Metrics with their labels, in Prometheus' notation, and their exact values."""
    refused: Mapping[Refusal, int] = {}
    """The least number of values that gave no measurement, by reason."""
    faults: Mapping[Refusal, int] = {}
    """The number of measurements with each fault."""
    records: int | None = None
    """How many records had no fault; None if that is not checked."""


CASES: Final = [
    Case(
        fault="drop@10",
        make=worn,
        done=flows,
        counted={"sensor_attempts_total ending=lost": 1, "sensor_connections_total": 2},
    ),
    Case(
        fault="silence@10-30",
        make=worn,
        done=flows,
        counted={"sensor_attempts_total ending=silent": 1, "sensor_connections_total": 2},
    ),
    Case(
        fault="malformed@6",
        make=meter,
        done=fetched,
        # The report has fewer records than the meter has counted, and is requested again.
        counted={
            "decode_errors_total characteristic=glucose_measurement reason=truncated": 1,
            "short_reports_total": 1,
        },
        refused={Refusal.MALFORMED: 1},
        records=RECORDS,
    ),
    Case(
        # The fault hits the second record each time.
        fault=f"wrong-crc@2-/{RECORDS}",
        make=session,
        done=fetched,
        counted={
            "decode_errors_total characteristic=cgm_measurement reason=bad_crc": 2,
            "short_reports_total": 2,
        },
        refused={Refusal.MALFORMED: 2},
        records=RECORDS - 1,
    ),
    Case(
        fault="repeat=3",
        make=meter,
        done=fetched,
        counted={"fetched_records_total": RECORDS},
        records=RECORDS,
    ),
    Case(
        fault="repeat=3",
        make=session,
        done=fetched,
        counted={"fetched_records_total": RECORDS},
        records=RECORDS,
    ),
    Case(
        fault="oversized@2-3",
        make=session,
        done=fetched,
        # The first byte of a record is its length: the bytes after it are no record.
        counted={"decode_errors_total characteristic=cgm_measurement reason=truncated": 2},
        refused={Refusal.MALFORMED: 2},
        records=RECORDS,
    ),
    Case(
        fault="oversized@1-5",
        make=worn,
        done=flows,
        # The battery level is affected as well; a heart rate may be followed by any number of
        # intervals.
        counted={"decode_errors_total characteristic=battery_level reason=trailing_bytes": 1},
        refused={Refusal.MALFORMED: 1},
    ),
    Case(
        fault="flood=1000",
        make=worn,
        done=lambda c: ended(c, "flooding"),
        counted={"sensor_attempts_total ending=flooding": 1},
        refused={Refusal.FLOOD: 2000},
    ),
    Case(
        fault="warm-up@2",
        make=session,
        done=fetched,
        counted={"fetched_records_total": RECORDS},
        faults={Refusal.WARM_UP: 1},
        records=RECORDS - 1,
    ),
    Case(
        fault="ketone@2",
        make=meter,
        done=fetched,
        counted={"fetched_records_total": RECORDS},
        faults={Refusal.KETONE: 1},
        records=RECORDS - 1,
    ),
    Case(
        fault="busy@1",
        make=meter,
        done=fetched,
        counted={"sensor_connections_total": 1},
        records=RECORDS,
    ),
    Case(
        fault="server-busy@1-2",
        make=meter,
        done=fetched,
        counted={"sensor_connections_total": 1},
        records=RECORDS,
    ),
    Case(
        fault=f"unanswered@{METERS_REPORT}",
        make=meter,
        done=fetched,
        counted={"sensor_attempts_total ending=timed_out": 1, "sensor_connections_total": 2},
        records=RECORDS,
    ),
    Case(
        fault=f"uncompleted@{METERS_REPORT}",
        make=meter,
        done=fetched,
        counted={"sensor_attempts_total ending=refused": 1, "sensor_connections_total": 2},
        records=RECORDS,
    ),
    Case(
        fault=f"endless@{METERS_REPORT}",
        make=meter,
        done=lambda c: ended(c, "endless"),
        counted={"sensor_attempts_total ending=endless": 1},
        records=RECORDS,
    ),
    Case(
        fault=f"endless@{SESSIONS_REPORT}",
        make=session,
        done=lambda c: ended(c, "endless"),
        counted={"sensor_attempts_total ending=endless": 1},
    ),
    Case(
        fault="deaf@1",
        make=worn,
        done=flows,
        counted={"sensor_attempts_total ending=timed_out": 1, "sensor_connections_total": 2},
    ),
]


def value(collector: Collector, metric: str) -> float:
    """Return a metric, named as in a case."""
    name, *labels = metric.split()
    return collector.value(name, **dict(label.split("=") for label in labels))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.fault} {case.make.__name__}")
async def test_a_fault_is_counted_and_survived(
    link: AirLink, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Each fault is counted by its reason, as often as it occurs, and all good values still
    arrive.
    """
    monkeypatch.setattr(record_assembler, "MAX_REPEATED", 300)
    sensor = await link.add(case.make(case.fault))

    async with collecting(radio(link), ToldHost(), {sensor.address: 0}) as collector:
        await collector.until(lambda: case.done(collector), within_s=30)
        assert {metric: value(collector, metric) for metric in case.counted} == case.counted
        await collector.during(0.05)

    taken = collector.taken_of_records()
    assert collector.refused.keys() == case.refused.keys()
    assert all(case.refused[reason] <= n for reason, n in collector.refused.items())
    assert Counter(m.fault for m in taken if m.fault is not None) == case.faults
    if case.records is not None:
        good = places([m for m in taken if m.fault is None])
        assert (len(good), len(set(good))) == (case.records, case.records)


def test_no_fault_is_left_out() -> None:
    """Every fault that a virtual sensor can have is tested here."""
    apart = {FaultKind.CLOCK_RESET}
    assert {parse(case.fault).kind for case in CASES} | apart == set(FaultKind)


async def test_a_meter_that_forgot_everything_counts_anew(link: AirLink) -> None:
    """
    After a meter lost all data, its records belong to a new generation and have the
    right time.
    """
    meter = await link.add(meter_with(3, "clock-reset@4"))

    async with collecting(radio(link), ToldHost(), {METER: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        fill(meter, 2)
        await collector.until(lambda: len(collector.taken_of_records()) >= 5)

    assert places(collector.taken_of_records()) == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
    assert collector.value("sensor_resets_total") == 1
    ages_s = [time.time() - m.at_ms / 1000 for m in collector.taken_of_records()[3:]]
    assert ages_s == [pytest.approx(120, abs=10), pytest.approx(60, abs=10)]


async def test_a_session_that_began_anew_while_it_was_followed_is_met_anew(link: AirLink) -> None:
    """
    A session that restarts while it is followed gets a new generation, because its minutes go
    back.
    """
    sensor = await link.add(sensor_with(3, "clock-reset@4"))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: len(collector.taken_of_records()) >= 3)
        await sensor.tell_all(sensor.measure(Reading(7.0)))
        await collector.until(lambda: len(collector.taken_of_records()) >= 4)

    assert places(collector.taken_of_records())[3:] == [(1, 0)]
    assert collector.value("sensor_resets_total") == 1


async def test_a_minute_that_is_told_thrice_has_one_number(link: AirLink) -> None:
    """A minute that is sent three times is taken three times, under the same record number."""
    sensor = await link.add(sensor_with(2))

    async with collecting(radio(link), ToldHost(), {CGM: 0}) as collector:
        await collector.until(lambda: fetches(collector) >= 1)
        sensor.faults.add("repeat=3")
        await sensor.tell_all(sensor.measure(Reading(7.0), minute=100))
        await collector.until(lambda: len(collector.taken_of_records()) >= 5)

    assert places(collector.taken_of_records()) == [(0, 0), (0, 5), *[(0, 100)] * 3]
    assert len({m.record for m in collector.taken_of_records()}) == 3

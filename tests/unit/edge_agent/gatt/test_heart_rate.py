"""Heart rate straps."""

import sys
import time
import timeit

import pytest

from edge_agent.gatt import heart_rate
from edge_agent.gatt.errors import Truncated
from edge_agent.gatt.heart_rate import BodySensorLocation, HeartRateMeasurement, Location
from edge_agent.gatt.meaning import Observation, Refused, When
from edge_agent.gatt.quirks import Quirks
from wire.quantities import Code
from wire.refusals import Refusal


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("06 48", HeartRateMeasurement(72, True), id="uint8, worn"),
        pytest.param("04 48", HeartRateMeasurement(72, False), id="uint8, not worn"),
        pytest.param("02 48", HeartRateMeasurement(72), id="contact detected, not supported"),
        pytest.param("01 2c01", HeartRateMeasurement(300), id="uint16"),
        pytest.param("08 48 ffff", HeartRateMeasurement(72, None, 65535), id="energy, full"),
        pytest.param(
            "10 48 0004 0002", HeartRateMeasurement(72, None, None, (1024, 512)), id="two RR"
        ),
        pytest.param("00 48 00 00", HeartRateMeasurement(72), id="bytes of a later version"),
    ],
)
def test_decode_golden_value(value: str, expected: HeartRateMeasurement) -> None:
    """Hand-written values from the specification decode field by field."""
    assert heart_rate.decode(bytes.fromhex(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected", "got"),
    [
        pytest.param("", 2, 0, id="nothing"),
        pytest.param("01 48", 3, 2, id="half a uint16"),
        pytest.param("08 48 00", 4, 3, id="half an energy"),
        pytest.param("10 48 00", 4, 3, id="half an RR-interval"),
        pytest.param("10 48 0004 00", 6, 5, id="half of the second RR-interval"),
    ],
)
def test_truncation_tells_how_many_bytes_are_missing(value: str, expected: int, got: int) -> None:
    """The error of a truncated value says only how many bytes are missing."""
    with pytest.raises(Truncated) as caught:
        heart_rate.decode(bytes.fromhex(value))
    assert (caught.value.expected, caught.value.got) == (expected, got)


def test_reserved_location_is_unknown() -> None:
    """A reserved body location is kept without a name."""
    locations = [heart_rate.decode_location(bytes((code,))) for code in range(8)]
    assert [location.location for location in locations] == [*Location, None]
    assert locations[7] == BodySensorLocation(7)


def test_rr_intervals_are_dated_by_the_beats_that_end_them() -> None:
    """Each RR interval is dated by the beat at its end; the newest ends when the value is sent."""
    measurement = HeartRateMeasurement(60, True, None, (1024, 512, 2048))
    assert heart_rate.observations(measurement) == [
        Observation(Code.HEART_RATE, 60),
        Observation(Code.RR_INTERVAL, 1000, When(before_ms=2500)),
        Observation(Code.RR_INTERVAL, 500, When(before_ms=2000)),
        Observation(Code.RR_INTERVAL, 2000),
    ]


def test_implausible_rr_interval_spoils_nothing_else() -> None:
    """An implausible RR interval is refused alone; the rate and the other intervals are kept."""
    outcomes = heart_rate.observations(HeartRateMeasurement(60, None, None, (33, 1024)))
    assert outcomes[1] == Refused(Code.RR_INTERVAL, Refusal.IMPLAUSIBLE)
    assert [type(outcome) for outcome in outcomes] == [Observation, Refused, Observation]


def test_lost_contact_refuses_rate_and_intervals() -> None:
    """Without skin contact the rate and all intervals are refused."""
    outcomes = heart_rate.observations(HeartRateMeasurement(74, False, None, (781,)))
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, Refused)} == {
        Refusal.OFF_BODY
    }
    assert len(outcomes) == 2


def test_unreliable_contact_is_a_quirk() -> None:
    """By a quirk, the rate of a strap that reports lost contact wrongly is accepted."""
    measurement = HeartRateMeasurement(74, False)
    quirks = Quirks(contact_unreliable=True)
    assert heart_rate.observations(measurement, quirks) == [Observation(Code.HEART_RATE, 74)]


def test_rate_0_is_off_body_under_every_quirk() -> None:
    """A rate of 0 means that the sensor is not worn, under every quirk."""
    for quirks in (Quirks(), Quirks(contact_unreliable=True)):
        assert heart_rate.observations(HeartRateMeasurement(0), quirks) == [
            Refused(Code.HEART_RATE, Refusal.OFF_BODY)
        ]


def test_full_energy_counter_is_saturated() -> None:
    """An energy counter of 65535 is saturated, because it stays there until a reset."""
    energies = [
        heart_rate.observations(HeartRateMeasurement(60, None, kj))[1] for kj in (1080, 65535)
    ]
    assert energies == [
        Observation(Code.ENERGY_EXPENDED, 1080),
        Refused(Code.ENERGY_EXPENDED, Refusal.SATURATED),
    ]


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer would be measured instead")
def test_decoding_keeps_up_with_many_straps() -> None:
    """One core decodes at least 200,000 values a second."""
    value, count = bytes.fromhex("16 4e 1b03 1203"), 20_000
    timer = timeit.Timer(lambda: heart_rate.decode(value), timer=time.process_time)
    assert count / min(timer.repeat(number=count, repeat=5)) > 200_000

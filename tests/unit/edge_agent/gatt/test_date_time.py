"""Dates, times and zones of sensors."""

import pytest

from edge_agent.gatt import date_time
from edge_agent.gatt.date_time import CurrentTime, DateTime, ReferenceTime, Zone
from edge_agent.gatt.errors import ReservedValue, TrailingBytes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("ea07 0b 15 12 24 36", DateTime(2026, 11, 21, 18, 36, 54), id="a date"),
        pytest.param("0000 00 00 00 00 00", DateTime(None, None, None, 0, 0, 0), id="unknown"),
        pytest.param("2e06 0a 0f 17 3b 3b", DateTime(1582, 10, 15, 23, 59, 59), id="first year"),
        pytest.param("0f27 0c 1f 00 00 00", DateTime(9999, 12, 31, 0, 0, 0), id="last year"),
    ],
)
def test_decode_golden_value(value: str, expected: DateTime) -> None:
    """Hand-written values from the specification decode field by field."""
    assert date_time.decode(bytes.fromhex(value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("2d06 0a 0f 17 3b 3b", id="year 1581"),
        pytest.param("1027 01 01 00 00 00", id="year 10000"),
        pytest.param("ea07 0d 01 00 00 00", id="month 13"),
        pytest.param("ea07 01 20 00 00 00", id="day 32"),
        pytest.param("ea07 01 01 18 00 00", id="hour 24"),
        pytest.param("ea07 01 01 00 3c 00", id="minute 60"),
        pytest.param("ea07 01 01 00 00 3c", id="second 60"),
    ],
)
def test_field_out_of_range_is_refused(value: str) -> None:
    """A reserved value of a field is refused, and not repaired."""
    with pytest.raises(ReservedValue):
        date_time.decode(bytes.fromhex(value))


def test_day_that_does_not_exist_is_no_datetime() -> None:
    """A day that does not exist gives no datetime, although each field is in range."""
    assert DateTime(2026, 2, 29, 0, 0, 0).as_datetime() is None
    assert DateTime(2028, 2, 29, 0, 0, 0).as_datetime() is not None


def test_current_time_golden_value() -> None:
    """A hand-written current time: a Saturday, half a second past, set manually."""
    value = bytes.fromhex("ea07 0b 15 12 24 36 06 80 01")
    moment = DateTime(2026, 11, 21, 18, 36, 54)
    assert date_time.decode_current_time(value) == CurrentTime(moment, 6, 128, 1)
    with pytest.raises(ReservedValue):
        date_time.decode_current_time(value[:7] + bytes((8, 0, 0)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("04", Zone(4, None), id="an hour east"),
        pytest.param("ec", Zone(-20, None), id="five hours west"),
        pytest.param("d0", Zone(-48, None), id="the westernmost"),
        pytest.param("38", Zone(56, None), id="the easternmost"),
        pytest.param("80", Zone(None, None), id="not known"),
    ],
)
def test_zone_counts_quarters_of_an_hour(value: str, expected: Zone) -> None:
    """A zone is a signed number of quarters of an hour, negative west of Greenwich."""
    assert date_time.decode_zone(bytes.fromhex(value)) == expected


@pytest.mark.parametrize("value", ["cf", "39", "7f", "81"])
def test_reserved_zone_is_refused(value: str) -> None:
    """A reserved zone is refused, neither limited nor wrapped."""
    with pytest.raises(ReservedValue):
        date_time.decode_zone(bytes.fromhex(value))


def test_local_time_has_a_zone_and_a_dst() -> None:
    """
    Zone and daylight saving have the same unit; 255 is unknown, and values between are
    reserved.
    """
    assert date_time.decode_local_time(bytes.fromhex("04 04")) == Zone(4, 4)
    assert date_time.decode_local_time(bytes.fromhex("80 ff")) == Zone(None, None)
    with pytest.raises(ReservedValue):
        date_time.decode_local_time(bytes.fromhex("04 03"))


def test_reference_time_golden_value() -> None:
    """A hand-written reference time: one second off, updated five hours ago."""
    assert date_time.decode_reference_time(b"\x01\x08\x00\x05") == ReferenceTime(1, 8, 0, 5)
    assert date_time.decode_reference_time(b"\x01\x08\x00\x17").hours == 23
    assert date_time.decode_reference_time(b"\x01\xff\xff\xff").hours == 255
    with pytest.raises(ReservedValue):
        date_time.decode_reference_time(b"\x01\x08\x00\x18")


def test_longer_value_is_refused() -> None:
    """A date with additional bytes is refused."""
    with pytest.raises(TrailingBytes):
        date_time.decode(bytes(8))

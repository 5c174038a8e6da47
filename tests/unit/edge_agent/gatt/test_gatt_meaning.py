"""Judging numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.ieee11073 import NotANumber
from edge_agent.gatt.meaning import LIVE, Observation, Refusal, Refused, When, date, judge
from tests.unit.edge_agent.gatt.measurements import date_times
from wire.quantities import QUANTITIES, Code


@given(
    quantity=st.sampled_from(Code),
    number=st.floats(-1e134, 1e134) | st.sampled_from(NotANumber) | st.none(),
)
def test_number_is_observed_if_and_only_if_it_is_plausible(
    quantity: Code, number: float | NotANumber | None
) -> None:
    """In range it is kept to the nearest step; else it is refused, and never turned into 0."""
    outcome, kind = judge(quantity, number), QUANTITIES[quantity]
    if isinstance(number, float) and kind.is_plausible(kind.to_steps(number)):
        assert outcome == Observation(quantity, kind.to_steps(number), LIVE)
    else:
        assert isinstance(outcome, Refused)


@pytest.mark.parametrize("number", [60.0, NotANumber.NAN, None])
def test_fault_refuses_whatever_the_number(number: float | NotANumber | None) -> None:
    """The reason of the sensor goes before what its number says."""
    refused = Refused(Code.HEART_RATE, Refusal.OFF_BODY)
    assert judge(Code.HEART_RATE, number, fault=Refusal.OFF_BODY) == refused


@given(date_times)
def test_timestamp_is_a_date_or_a_reason(timestamp: DateTime) -> None:
    """One that is there and says nothing never passes for the time of sending."""
    when, fault = date(timestamp)
    if timestamp.as_datetime() is None:
        assert fault is Refusal.UNDATED
    else:
        assert (when, fault) == (When(sensor_time=timestamp.as_datetime()), None)


def test_no_timestamp_means_now() -> None:
    """A sensor that stores nothing sends what it measures."""
    assert date(None) == (LIVE, None)

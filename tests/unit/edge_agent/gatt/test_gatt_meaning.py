"""Judging numbers."""

from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.gatt import heart_rate
from edge_agent.gatt.blood_pressure import BloodPressureUnit
from edge_agent.gatt.conversion import MMOL_PER_L_FROM_MG_PER_DL, SAME_UNIT, Conversion
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.glucose import Concentration, GlucoseUnit
from edge_agent.gatt.ieee11073 import NotANumber, Number, Scaled, from_float, scaled, to_float
from edge_agent.gatt.meaning import LIVE, Observation, Refused, When, date, judge
from edge_agent.gatt.thermometer import TemperatureUnit
from edge_agent.gatt.weight import WeightUnit
from tests.unit.edge_agent.gatt.measurements import date_times, floats, sfloats
from wire.quantities import QUANTITIES, Code
from wire.refusals import Refusal

_ONE_UNIT: Final = [(code, SAME_UNIT) for code in Code] + [
    (Code.RR_INTERVAL, heart_rate.RR_TO_MS),
    (Code.GLUCOSE_INTERSTITIAL, MMOL_PER_L_FROM_MG_PER_DL),
    (Code.GLUCOSE_CAPILLARY, Concentration(0, GlucoseUnit.KG_PER_L, 1, 1).to_mmol_per_l),
    (Code.GLUCOSE_CAPILLARY, Concentration(0, GlucoseUnit.MOL_PER_L, 1, 1).to_mmol_per_l),
    (Code.BODY_TEMPERATURE, TemperatureUnit.FAHRENHEIT.to_celsius),
    (Code.BODY_WEIGHT, WeightUnit.KG.to_kg),
    (Code.BODY_WEIGHT, WeightUnit.LB.to_kg),
    (Code.BLOOD_PRESSURE_MEAN, BloodPressureUnit.KPA.to_mmhg),
]
"""Every quantity in its own unit, and in each other unit in which a characteristic sends it."""


def _exact(number: int | Scaled) -> Fraction:
    if isinstance(number, int):
        return Fraction(number)
    return Fraction(number.mantissa) * Fraction(10) ** number.exponent


@given(
    one=st.sampled_from(_ONE_UNIT),
    number=st.integers(0, 0xFFFF) | sfloats | floats | st.sampled_from(NotANumber) | st.none(),
)
def test_number_is_observed_exactly_or_refused(
    one: tuple[Code, Conversion], number: Number | None
) -> None:
    """A plausible number becomes the nearest step, computed exactly; any other is refused."""
    (quantity, unit), kind = one, QUANTITIES[one[0]]
    outcome = judge(quantity, number, unit=unit)
    if number is None or isinstance(number, NotANumber):
        infinities = (NotANumber.POSITIVE_INFINITY, NotANumber.NEGATIVE_INFINITY)
        reason = Refusal.SATURATED if number in infinities else Refusal.NO_VALUE
        assert outcome == Refused(quantity, reason)
        return
    value = (_exact(number) + unit.offset) * unit.numerator / unit.denominator
    steps = round(value * kind.per_unit)
    if kind.is_plausible(steps):
        assert outcome == Observation(quantity, steps, LIVE)
    else:
        assert outcome == Refused(quantity, Refusal.IMPLAUSIBLE)


@pytest.mark.parametrize("quantity", list(Code))
def test_every_step_of_a_quantity_crosses_the_decoder_unchanged(quantity: Code) -> None:
    """Every plausible step of a quantity, sent as a FLOAT, is decoded as the same step."""
    kind = QUANTITIES[quantity]
    power = -len(str(kind.per_unit)) + 1
    for steps in range(kind.low, kind.high + 1):
        bits = to_float(scaled(steps, power))
        assert judge(quantity, from_float(bits)) == Observation(quantity, steps, LIVE)


@given(st.sampled_from(list(Code)), st.data())
def test_each_tie_goes_to_the_even_step(quantity: Code, data: st.DataObject) -> None:
    """A number halfway between two steps is rounded to the even one, exactly, in any quantity."""
    kind = QUANTITIES[quantity]
    steps = data.draw(st.integers(kind.low, kind.high - 1))
    power = -len(str(kind.per_unit)) + 1
    even = steps + steps % 2
    tie = scaled(10 * steps + 5, power - 1)
    assert judge(quantity, tie) == Observation(quantity, even, LIVE)


@pytest.mark.parametrize(
    ("number", "steps"),
    [
        pytest.param(36_975, 3698, id="a tie, which a float would round down"),
        pytest.param(36_965, 3696, id="a tie goes to the even step"),
        pytest.param(36_985, 3698, id="a tie that is even below"),
    ],
)
def test_ties_go_to_the_even_step(number: int, steps: int) -> None:
    """The sent decimal decides a tie, not its nearest binary fraction."""
    outcome = judge(Code.BODY_TEMPERATURE, scaled(number, -3))
    assert outcome == Observation(Code.BODY_TEMPERATURE, steps, LIVE)


@pytest.mark.parametrize("number", [60, NotANumber.NAN, None])
def test_fault_refuses_whatever_the_number(number: Number | None) -> None:
    """A reason that the sensor gives takes precedence over its number."""
    refused = Refused(Code.HEART_RATE, Refusal.OFF_BODY)
    assert judge(Code.HEART_RATE, number, fault=Refusal.OFF_BODY) == refused


@given(date_times)
def test_timestamp_is_a_date_or_a_reason(timestamp: DateTime) -> None:
    """
    A timestamp that gives no time is a reason to refuse, and never replaced by the time of
    sending.
    """
    when, fault = date(timestamp)
    if timestamp.as_datetime() is None:
        assert fault is Refusal.UNDATED
    else:
        assert (when, fault) == (When(sensor_time=timestamp.as_datetime()), None)


def test_no_timestamp_means_now() -> None:
    """A value without a timestamp was measured when it was sent."""
    assert date(None) == (LIVE, None)

"""Records of glucose meters, and which of them are observations of glucose."""

import datetime

import msgspec
import pytest

from edge_agent.gatt import glucose
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.glucose import Concentration, GlucoseMeasurement, GlucoseUnit
from edge_agent.gatt.glucose_context import (
    GlucoseContext,
    Meal,
)
from edge_agent.gatt.ieee11073 import NotANumber, Number, decimal_of
from edge_agent.gatt.meaning import Observation, Refused, When
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from wire.quantities import Code
from wire.refusals import Refusal

_BASE = DateTime(2026, 11, 21, 18, 36, 54)
_SHOWN = When(
    sensor_time=datetime.datetime(2026, 11, 21, 18, 36, 54)  # noqa: DTZ001 (a sensor's clock)
)


_KG_PER_L = decimal_of(0.00108)


def _record(
    value: Number = _KG_PER_L,
    unit: GlucoseUnit = GlucoseUnit.KG_PER_L,
    sample_type: int = 1,
    location: int = 1,
) -> GlucoseMeasurement:
    concentration = Concentration(value, unit, sample_type, location)
    return GlucoseMeasurement(sequence=7, base_time=_BASE, concentration=concentration)


def _refused(reason: Refusal) -> list[Refused]:
    return [Refused(Code.GLUCOSE_CAPILLARY, reason)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            "00 0700 ea07 0b 15 12 24 36",
            GlucoseMeasurement(sequence=7, base_time=_BASE),
            id="nothing but a date",
        ),
        pytest.param(
            "02 0700 ea07 0b 15 12 24 36 6cb0 11",
            _record(),
            id="108e-5 kg/L, capillary whole blood, finger",
        ),
        pytest.param(
            "06 0700 ea07 0b 15 12 24 36 3cc0 f8",
            _record(decimal_of(0.006), GlucoseUnit.MOL_PER_L, 8, 15),
            id="60e-4 mol/L, undetermined plasma, location not told",
        ),
        pytest.param(
            "19 0700 ea07 0b 15 12 24 36 a6ff 2100",
            GlucoseMeasurement(
                sequence=7,
                base_time=_BASE,
                time_offset_min=-90,
                status=1 << 0 | 1 << 5,
                context_follows=True,
            ),
            id="offset, status and context, but no concentration",
        ),
    ],
)
def test_decode_golden_value(value: str, expected: GlucoseMeasurement) -> None:
    """Hand-written values from the specification decode field by field."""
    assert glucose.decode(bytes.fromhex(value)) == expected


@pytest.mark.parametrize(
    ("record", "steps"),
    [
        pytest.param(_record(decimal_of(0.00108)), 599, id="108 mg/dL is 5.99 mmol/L"),
        pytest.param(_record(decimal_of(0.006), GlucoseUnit.MOL_PER_L), 600, id="6 mmol/L"),
        pytest.param(
            _record(decimal_of(0.00111), sample_type=8, location=15), 616, id="as one meter shows"
        ),
    ],
)
def test_concentration_is_converted_to_mmol_per_l(record: GlucoseMeasurement, steps: int) -> None:
    """Either unit of a meter is converted to mmol/L by one conversion."""
    assert glucose.observations(record) == [Observation(Code.GLUCOSE_CAPILLARY, steps, _SHOWN)]


def test_interstitial_fluid_is_another_quantity() -> None:
    """A record of interstitial fluid is another quantity."""
    (outcome,) = glucose.observations(_record(sample_type=9))
    assert outcome.quantity is Code.GLUCOSE_INTERSTITIAL


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        pytest.param(_record(sample_type=10), Refusal.CONTROL_SOLUTION, id="type"),
        pytest.param(_record(location=4), Refusal.CONTROL_SOLUTION, id="location"),
        pytest.param(_record(sample_type=3), Refusal.OTHER_SPECIMEN, id="venous"),
        pytest.param(_record(sample_type=0), Refusal.OTHER_SPECIMEN, id="reserved type"),
        pytest.param(_record(NotANumber.NAN), Refusal.NO_VALUE, id="NaN"),
        pytest.param(_record(NotANumber.NRES), Refusal.NO_VALUE, id="NRes"),
        pytest.param(_record(NotANumber.RESERVED), Refusal.NO_VALUE, id="reserved number"),
        pytest.param(_record(NotANumber.POSITIVE_INFINITY), Refusal.SATURATED, id="+INF"),
        pytest.param(_record(NotANumber.NEGATIVE_INFINITY), Refusal.SATURATED, id="-INF"),
        pytest.param(_record(0), Refusal.IMPLAUSIBLE, id="0"),
        pytest.param(
            msgspec.structs.replace(_record(), concentration=None), Refusal.NO_VALUE, id="absent"
        ),
    ],
)
def test_what_is_no_glucose_is_refused(record: GlucoseMeasurement, reason: Refusal) -> None:
    """A ketone, a control solution or another specimen decodes and is refused."""
    assert glucose.observations(record) == _refused(reason)


_SPOILING_BITS = {
    **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 10), Refusal.SENSOR_FAULT),
    **dict.fromkeys((5, 6), Refusal.SATURATED),
    11: Refusal.UNDATED,
}


@pytest.mark.parametrize("bit", range(16))
def test_status_that_spoils_the_record_refuses_it(bit: int) -> None:
    """Each fault in the status refuses the record; a low battery and reserved bits do not."""
    (outcome,) = glucose.observations(msgspec.structs.replace(_record(), status=1 << bit))
    reason = outcome.reason if isinstance(outcome, Refused) else None
    assert reason is _SPOILING_BITS.get(bit)


def test_record_that_announces_a_context_waits_for_it() -> None:
    """A record that announces a context is judged with it, because it may be a ketone."""
    record = msgspec.structs.replace(_record(), context_follows=True)
    own, other = GlucoseContext(sequence=7, meal=Meal.FASTING), GlucoseContext(sequence=8)
    assert glucose.observations(record) == _refused(Refusal.CONTEXT_MISSING)
    assert glucose.observations(record, other) == _refused(Refusal.CONTEXT_MISSING)
    assert glucose.observations(record, own) == [Observation(Code.GLUCOSE_CAPILLARY, 599, _SHOWN)]


def test_meter_that_holds_ketones_needs_a_context_for_glucose() -> None:
    """A meter that stores ketones needs a context to mark a record as glucose."""
    quirks = Quirks(holds_ketones=True)
    context = GlucoseContext(sequence=7)
    assert glucose.observations(_record(), None, quirks) == _refused(Refusal.UNKNOWN_ANALYTE)
    assert isinstance(glucose.observations(_record(), context, quirks)[0], Observation)
    assert isinstance(glucose.observations(_record(), None, NO_QUIRKS)[0], Observation)


@pytest.mark.parametrize(
    "base_time",
    [
        pytest.param(DateTime(None, 1, 1, 0, 0, 0), id="year not known"),
        pytest.param(DateTime(2026, None, 1, 0, 0, 0), id="month not known"),
        pytest.param(DateTime(2026, 1, None, 0, 0, 0), id="day not known"),
        pytest.param(DateTime(2026, 2, 30, 0, 0, 0), id="no such day"),
    ],
)
def test_record_without_a_date_is_refused(base_time: DateTime) -> None:
    """A stored record without a date is refused."""
    record = msgspec.structs.replace(_record(), base_time=base_time)
    assert glucose.observations(record) == _refused(Refusal.UNDATED)


def test_offset_beyond_the_calendar_is_no_date() -> None:
    """A date whose offset goes beyond the calendar is no date, and no error."""
    last = DateTime(9999, 12, 31, 23, 59, 59)
    record = GlucoseMeasurement(sequence=1, base_time=last, time_offset_min=1)
    assert record.shown_at() is None

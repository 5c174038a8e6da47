"""Strategies for measurements of every kind."""

from typing import Any

from hypothesis import strategies as st

from edge_agent.gatt import (
    blood_pressure,
    cgm,
    cgm_control,
    cgm_session,
    date_time,
    glucose,
    glucose_context,
    heart_rate,
    pulse_oximeter,
    racp,
    thermometer,
    weight,
)
from edge_agent.gatt.ieee11073 import Number, from_float, from_sfloat


def uint(bits: int) -> st.SearchStrategy[int]:
    """Return a strategy for unsigned numbers of this many *bits*."""
    return st.integers(0, (1 << bits) - 1)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for None or a value of *strategy*."""
    return st.none() | strategy


def built(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for measurements of *kind* with these *fields*."""
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


sfloats: st.SearchStrategy[Number] = uint(16).map(from_sfloat)
floats: st.SearchStrategy[Number] = uint(32).map(from_float)
date_times = built(
    date_time.DateTime,
    year=maybe(st.integers(1582, 9999)),
    month=maybe(st.integers(1, 12)),
    day=maybe(st.integers(1, 31)),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    second=st.integers(0, 59),
)
quarters = maybe(st.integers(-48, 56))
local_zones = st.builds(date_time.Zone, quarters, maybe(st.sampled_from((0, 2, 4, 8))))

heart_rates = built(
    heart_rate.HeartRateMeasurement,
    heart_rate_bpm=uint(16),
    sensor_contact=maybe(st.booleans()),
    energy_expended_kj=maybe(uint(16)),
    rr_intervals=st.lists(uint(16), max_size=9).map(tuple),
)
glucoses = built(
    glucose.GlucoseMeasurement,
    sequence=uint(16),
    base_time=date_times,
    time_offset_min=maybe(st.integers(-32768, 32767)),
    concentration=maybe(
        st.builds(
            glucose.Concentration, sfloats, st.sampled_from(glucose.GlucoseUnit), uint(4), uint(4)
        )
    ),
    status=maybe(uint(16)),
    context_follows=st.booleans(),
)
contexts = built(
    glucose_context.GlucoseContext,
    sequence=uint(16),
    extended_flags=maybe(uint(8)),
    carbohydrate=maybe(st.builds(glucose_context.Carbohydrate, uint(8), sfloats)),
    meal=maybe(uint(8)),
    tester_health=maybe(st.tuples(uint(4), uint(4))),
    exercise=maybe(st.builds(glucose_context.Exercise, uint(16), uint(8))),
    medication=maybe(
        st.builds(
            glucose_context.Medication,
            uint(8),
            sfloats,
            st.sampled_from(glucose_context.MedicationUnit),
        )
    ),
    hba1c_percent=maybe(sfloats),
)

_REPORTS = (
    racp.RacpOpCode.REPORT,
    racp.RacpOpCode.DELETE,
    racp.RacpOpCode.COUNT,
    racp.RacpOpCode.COMBINED_REPORT,
)
_COUNTS = st.sampled_from((racp.RacpOpCode.COUNT_RESPONSE, racp.RacpOpCode.COMBINED_RESPONSE))


def _requests(operators: tuple[racp.Operator, ...], bounds: int) -> st.SearchStrategy[Any]:
    pairs = st.tuples(*[uint(16)] * bounds) | st.tuples(*[date_times] * bounds)
    return st.builds(racp.Request, st.sampled_from(_REPORTS), st.sampled_from(operators), pairs)


requests = (
    st.just(racp.Request(racp.RacpOpCode.ABORT))
    | _requests((racp.Operator.ALL, racp.Operator.FIRST, racp.Operator.LAST), 0)
    | _requests((racp.Operator.UP_TO, racp.Operator.FROM), 1)
    | _requests((racp.Operator.RANGE,), 2)
)
responses = (
    st.builds(racp.RacpResponse, uint(8), uint(8))
    | st.builds(racp.Count, _COUNTS, uint(8), st.just(1))
    | st.builds(racp.Count, _COUNTS, uint(16), st.just(2))
    | st.builds(racp.Count, _COUNTS, uint(32), st.just(4))
)

cgm_records = built(
    cgm.CgmRecord,
    concentration_mg_dl=sfloats,
    time_offset_min=uint(16),
    status=maybe(uint(8)),
    cal_temp=maybe(uint(8)),
    warning=maybe(uint(8)),
    trend_mg_dl_min=maybe(sfloats),
    quality_percent=maybe(sfloats),
)
cgms = st.lists(cgm_records, min_size=1, max_size=3).map(tuple).map(cgm.CgmMeasurement)
features = st.builds(cgm_session.CgmFeature, uint(24), uint(4), uint(4))
statuses = st.builds(cgm_session.CgmStatus, uint(16), uint(24))
starts = st.builds(cgm_session.SessionStart, date_times, local_zones)
run_times = st.builds(cgm_session.SessionRunTime, uint(16))

_OPS = cgm_control.CgmOpCode
_INTERVALS = st.sampled_from((_OPS.SET_INTERVAL, _OPS.INTERVAL))
_COMMANDS = (0x02, 0x08, 0x0B, 0x0E, 0x11, 0x14, 0x17, 0x19, 0x1A, 0x1B)
_LEVELS = (0x07, 0x09, 0x0A, 0x0C, 0x0D, 0x0F, 0x10, 0x12, 0x13, 0x15, 0x16, 0x18)
operations = (
    st.builds(cgm_control.Command, st.sampled_from(_COMMANDS).map(_OPS))
    | st.builds(cgm_control.Interval, _INTERVALS, uint(8), st.just(1))
    | st.builds(cgm_control.Interval, st.just(_OPS.INTERVAL), uint(16), st.just(2))
    | st.builds(cgm_control.CalibrationRequest, uint(16))
    | st.builds(cgm_control.AlertLevel, st.sampled_from(_LEVELS).map(_OPS), sfloats)
    | st.builds(cgm_control.CgmResponse, uint(8), uint(8))
    | built(
        cgm_control.Calibration,
        op_code=st.sampled_from((_OPS.SET_CALIBRATION, _OPS.CALIBRATION)),
        concentration_mg_dl=sfloats,
        time_min=uint(16),
        sample_type=uint(4),
        location=uint(4),
        next_min=uint(16),
        record=uint(16),
        status=uint(8),
    )
)

oximetries = st.builds(pulse_oximeter.Oximetry, sfloats, sfloats)
spot_checks = built(
    pulse_oximeter.SpotCheck,
    oximetry=oximetries,
    timestamp=maybe(date_times),
    status=maybe(uint(16)),
    sensor_status=maybe(uint(24)),
    pulse_amplitude_percent=maybe(sfloats),
    clock_not_set=st.booleans(),
)
continuous = built(
    pulse_oximeter.ContinuousOximetry,
    normal=oximetries,
    fast=maybe(oximetries),
    slow=maybe(oximetries),
    status=maybe(uint(16)),
    sensor_status=maybe(uint(24)),
    pulse_amplitude_percent=maybe(sfloats),
)
pressures = built(
    blood_pressure.BloodPressureMeasurement,
    systolic=sfloats,
    diastolic=sfloats,
    mean=sfloats,
    unit=st.sampled_from(blood_pressure.BloodPressureUnit),
    timestamp=maybe(date_times),
    pulse_bpm=maybe(sfloats),
    user=maybe(uint(8)),
    status=maybe(uint(16)),
)
temperatures = built(
    thermometer.TemperatureMeasurement,
    temperature=floats,
    unit=st.sampled_from(thermometer.TemperatureUnit),
    timestamp=maybe(date_times),
    site=maybe(uint(8)),
)
weights = built(
    weight.WeightMeasurement,
    weight_steps=maybe(st.integers(0, 0xFFFE)),
    unit=st.sampled_from(weight.WeightUnit),
    timestamp=maybe(date_times),
    user=maybe(uint(8)),
    body_size=maybe(st.builds(weight.BodySize, uint(16), uint(16))),
)

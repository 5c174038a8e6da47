"""The traps that break decoders of others, one test each, mostly with values seen on the air."""

import datetime

import pytest

from edge_agent.gatt import (
    blood_pressure,
    cgm,
    cgm_session,
    glucose,
    glucose_context,
    heart_rate,
    ieee11073,
    pulse_oximeter,
    thermometer,
)
from edge_agent.gatt.errors import BadCrc, DecodeError, Truncated
from edge_agent.gatt.glucose import GlucoseUnit
from edge_agent.gatt.ieee11073 import NotANumber, scaled
from edge_agent.gatt.meaning import Observation, Outcome, Refused
from edge_agent.gatt.quirks import CrcKind, Quirks
from wire.quantities import Code
from wire.refusals import Refusal


def _glucose(value: str) -> glucose.GlucoseMeasurement:
    return glucose.decode(bytes.fromhex(value))


def _reasons(outcomes: list[Outcome]) -> list[Refusal | None]:
    return [o.reason if isinstance(o, Refused) else None for o in outcomes]


def test_trap_01_sfloat_exponent_is_not_biased() -> None:
    """Exponent 0xF is -1, and 0xB is -5; a bias of 8 would be wrong by powers of ten."""
    assert ieee11073.from_sfloat(0xF16C) == scaled(364, -1)
    assert ieee11073.from_sfloat(0xB078) == scaled(12, -4)
    assert ieee11073.from_float(0xFE000E71) == scaled(3697, -2)


def test_trap_02_glucose_is_in_kg_per_l() -> None:
    """A meter that showed 104 mg/dL sent 0.00104 kg/L, whatever the table of flags says."""
    record = _glucose("0b0400e407050e0c311d4e0168b0f80000")
    assert record.concentration is not None
    assert (record.concentration.value, record.concentration.unit) == (
        scaled(104, -5),
        GlucoseUnit.KG_PER_L,
    )
    (outcome,) = glucose.observations(record)
    assert isinstance(outcome, Observation)
    assert outcome.steps == round(104 / 18.0156 * 100)


@pytest.mark.parametrize(("value", "count"), [("0648", 0), ("164d1603", 1), ("164e1b031203", 2)])
def test_trap_03_heart_rate_has_no_fixed_length(value: str, count: int) -> None:
    """The number of RR-intervals varies from one notification to the next."""
    assert len(heart_rate.decode(bytes.fromhex(value)).rr_intervals) == count


def test_trap_04_all_ones_is_a_number_and_implausible() -> None:
    """A real meter sends 0xFFFF for no value: it is -0.1 kg/L, and no reserved pattern."""
    record = _glucose("030100e407030e1717000000ffff11")
    assert record.concentration is not None
    assert record.concentration.value == scaled(-1, -1)
    assert _reasons(glucose.observations(record)) == [Refusal.IMPLAUSIBLE]


def test_trap_05_type_is_the_low_half_and_location_the_high_one() -> None:
    """0xF8: undetermined plasma, location not told; swapped, it would be a reserved type."""
    concentration = _glucose("1b0f00e807011e053a1b53016fb0f80000").concentration
    assert concentration is not None
    assert (concentration.sample_type, concentration.location) == (8, 15)


def test_trap_06_bytes_above_127_are_unsigned_and_no_text() -> None:
    """A heart rate of 200 is not -56; bytes that went through UTF-8 are not what was sent."""
    assert heart_rate.decode(b"\x00\xc8").heart_rate_bpm == 200
    sent = bytes.fromhex("1b0400e407070e0b06055a0277b0f80000")
    mangled = sent.decode("latin-1").encode()
    with pytest.raises(DecodeError):
        glucose.decode(mangled)


def test_trap_07_reserved_bits_are_ignored() -> None:
    """One monitor sets flag bits 6 and 7, and bit 7 of the status: its values are fine."""
    measurement = blood_pressure.decode(bytes.fromhex("def6f416f3ff07e4070114082b00b2f2018000"))
    assert (measurement.systolic, measurement.diastolic, measurement.user) == (127.0, 79.0, 1)
    assert _reasons(blood_pressure.observations(measurement)) == [
        None,
        None,
        Refusal.NO_VALUE,
        None,
    ]


def test_trap_08_nan_is_no_number() -> None:
    """A mean of NaN is neither 2047 nor -20.41."""
    measurement = blood_pressure.decode(bytes.fromhex("dee2f43ef3ff07e807031302210034f301c000"))
    assert measurement.mean is NotANumber.NAN
    temperature = thermometer.decode(bytes.fromhex("00ffff7f00"))
    assert _reasons(thermometer.observations(temperature)) == [Refusal.NO_VALUE]


def test_trap_09_record_without_concentration_has_none() -> None:
    """The bytes behind the date are not read as one."""
    record = _glucose("000100e40705150a1e2d")
    assert record.concentration is None
    assert glucose.observations(record) == [Refused(Code.GLUCOSE_CAPILLARY, Refusal.NO_VALUE)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1b0100e307021b0b0a1efbff1e00120501", "2019-02-27 11:05:30"),
        ("0b0400e407050e0c311d4e0168b0f80000", "2020-05-14 18:23:29"),
        ("1b0400e407070e0b06055a0277b0f80000", "2020-07-14 21:08:05"),
        ("1b0f00e807011e053a1b53016fb0f80000", "2024-01-30 11:37:27"),
    ],
)
def test_trap_10_time_offset_is_signed_and_any_number_of_minutes(value: str, shown: str) -> None:
    """-5, 334, 602 and 339 minutes: not a time zone, and not unsigned."""
    assert str(_glucose(value).shown_at()) == shown


def test_trap_11_year_0_is_not_known() -> None:
    """Neither an error nor the year 0: the measurement is there, and undated."""
    measurement = blood_pressure.decode(bytes.fromhex("1e8a00580078000000041114293b3c00012700"))
    assert measurement.timestamp is not None
    assert measurement.timestamp.year is None
    assert _reasons(blood_pressure.observations(measurement)) == [Refusal.UNDATED] * 4


def test_trap_12_unset_clock_is_visible() -> None:
    """
    A flag tells of one oximeter; a thermometer lives in 2010 and does not know.

    The first is dated when it is sent, as its status says that it measures. The second hands its
    date on: whoever knows the time of day refuses it.
    """
    spot = pulse_oximeter.decode_spot_check(bytes.fromhex("1761006000e10701010122132000200000"))
    assert spot.clock_not_set
    assert [
        o.when.sensor_time for o in pulse_oximeter.observations(spot) if isinstance(o, Observation)
    ] == [None, None]
    (outcome,) = thermometer.observations(
        thermometer.decode(bytes.fromhex("066b0100ffda070102011f0000"))
    )
    assert isinstance(outcome, Observation)
    shown = datetime.datetime(2010, 1, 2, 1, 31)  # noqa: DTZ001 (a sensor's clock)
    assert outcome.when.sensor_time == shown


def test_trap_13_ketone_record_is_no_glucose() -> None:
    """Meal 6 in the context is how one maker says that the record is one of ketones."""
    context = glucose_context.decode(bytes.fromhex("02040006"))
    record = _glucose("1b0400e407070e0b06055a0277b0f80000")
    assert context.is_ketone
    assert _reasons(glucose.observations(record, context)) == [Refusal.KETONE]


def test_trap_14_several_records_in_one_notification() -> None:
    """Each is an observation of its own, each with its own time."""
    measurement = cgm.decode(bytes.fromhex("06000c10050006000c100600"))
    outcomes = cgm.observations(measurement)
    assert [o.when.session_min for o in outcomes if isinstance(o, Observation)] == [5, 6]


def test_trap_15_check_covers_the_whole_record_and_is_mcrf4xx() -> None:
    """A real sensor's record passes; one flipped bit, or another algorithm, does not."""
    value = bytes.fromhex("0d4373002c010324001a003e04")
    (record,) = cgm.decode(value).records
    assert record.concentration_mg_dl == 115.0
    for bit in range(8, 8 * len(value)):
        damaged = (int.from_bytes(value) ^ 1 << (8 * len(value) - 1 - bit)).to_bytes(len(value))
        with pytest.raises(DecodeError):
            cgm.decode(damaged, Quirks(e2e_crc=True))
    with pytest.raises(BadCrc):
        cgm.decode(value, Quirks(crc=CrcKind.CCITT_FALSE))


def test_trap_16_zone_is_in_quarters_of_an_hour() -> None:
    """8 is two hours, not 8 minutes."""
    start = cgm_session.decode_start(bytes.fromhex("e20704180d08180804e0c2"))
    assert start.zone.utc_offset() == datetime.timedelta(hours=2 + 1)


def test_trap_17_energy_is_in_kilojoules() -> None:
    """The service says kJ where the table of formats says joule."""
    measurement = heart_rate.decode(bytes.fromhex("1e5532002100"))
    assert measurement.energy_expended_kj == 50
    assert Observation(Code.ENERGY_EXPENDED, 50) in heart_rate.observations(measurement)


@pytest.mark.parametrize("value", ["1028", "102800", "1028000400"])
def test_trap_18_empty_or_odd_rr_tail_is_cut_off(value: str) -> None:
    """The flag announces at least one interval, and an interval has two bytes."""
    with pytest.raises(Truncated):
        heart_rate.decode(bytes.fromhex(value))


def test_trap_19_sequence_does_not_identify_a_record() -> None:
    """It starts again when the memory is cleared: two records may differ in all but that."""
    before = _glucose("070100e3070815061f0db4003bc0f1")
    after = _glucose("070100e4070815061f0db4003bc0f1")
    assert before.sequence == after.sequence
    assert before != after
    assert before.base_time != after.base_time


@pytest.mark.parametrize("value", ["07 01 0000 0500 ff07", "06 00 0000 0500"])
def test_trap_20_warm_up_frame_is_not_0(value: str) -> None:
    """Some sensors send 0 while they settle, with a trend of NaN and a clear status."""
    octets = bytearray(bytes.fromhex(value))
    octets[0] = len(octets)
    assert _reasons(cgm.observations(cgm.decode(octets))) == [Refusal.WARM_UP]

"""Known mistakes of other decoders, with one test each, mostly with values seen on the air."""

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
    """The exponent of an SFLOAT is two's complement: 0xF is -1 and 0xB is -5, without a bias."""
    assert ieee11073.from_sfloat(0xF16C) == scaled(364, -1)
    assert ieee11073.from_sfloat(0xB078) == scaled(12, -4)
    assert ieee11073.from_float(0xFE000E71) == scaled(3697, -2)


def test_trap_02_glucose_is_in_kg_per_l() -> None:
    """
    Glucose is in kg/L: a meter that showed 104 mg/dL sent 0.00104 kg/L, whatever the flags' table
    says.
    """
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
    """The number of RR intervals, and so the length, varies from one notification to the next."""
    assert len(heart_rate.decode(bytes.fromhex(value)).rr_intervals) == count


def test_trap_04_all_ones_is_a_number_and_implausible() -> None:
    """
    0xFFFF, which a meter sends for no value, is -0.1 kg/L and implausible, not a
    reserved pattern.
    """
    record = _glucose("030100e407030e1717000000ffff11")
    assert record.concentration is not None
    assert record.concentration.value == scaled(-1, -1)
    assert _reasons(glucose.observations(record)) == [Refusal.IMPLAUSIBLE]


def test_trap_05_type_is_the_low_half_and_location_the_high_one() -> None:
    """Type is the low half of the byte and location the high one: 0xF8 is undetermined plasma."""
    concentration = _glucose("1b0f00e807011e053a1b53016fb0f80000").concentration
    assert concentration is not None
    assert (concentration.sample_type, concentration.location) == (8, 15)


def test_trap_06_bytes_above_127_are_unsigned_and_no_text() -> None:
    """
    Bytes above 127 are unsigned, so that a heart rate of 200 is not -56, and they are no
    text.
    """
    assert heart_rate.decode(b"\x00\xc8").heart_rate_bpm == 200
    sent = bytes.fromhex("1b0400e407070e0b06055a0277b0f80000")
    mangled = sent.decode("latin-1").encode()
    with pytest.raises(DecodeError):
        glucose.decode(mangled)


def test_trap_07_reserved_bits_are_ignored() -> None:
    """Reserved bits are ignored: one monitor sets them, and its values are valid."""
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
    """If a record has no concentration, the bytes after its date are not read as one."""
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
    """A time offset is a signed number of minutes, such as -5, 334 or 602, and not a time zone."""
    assert str(_glucose(value).shown_at()) == shown


def test_trap_11_year_0_is_not_known() -> None:
    """The year 0 means an unknown date: the measurement is decoded without a date."""
    measurement = blood_pressure.decode(bytes.fromhex("1e8a00580078000000041114293b3c00012700"))
    assert measurement.timestamp is not None
    assert measurement.timestamp.year is None
    assert _reasons(blood_pressure.observations(measurement)) == [Refusal.UNDATED] * 4


def test_trap_12_unset_clock_is_visible() -> None:
    """
    An unset clock is recognised by a flag, or by an impossible date.

    An oximeter with the flag is dated when it sends, because its status says that it measures. A
    thermometer that shows 2010 passes its date on, and the pipeline refuses it.
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
    """
    A record with meal 6 in its context is a ketone record of one manufacturer, and no
    glucose.
    """
    context = glucose_context.decode(bytes.fromhex("02040006"))
    record = _glucose("1b0400e407070e0b06055a0277b0f80000")
    assert context.is_ketone
    assert _reasons(glucose.observations(record, context)) == [Refusal.KETONE]


def test_trap_14_several_records_in_one_notification() -> None:
    """Each record of a notification is an observation with its own time."""
    measurement = cgm.decode(bytes.fromhex("06000c10050006000c100600"))
    outcomes = cgm.observations(measurement)
    assert [o.when.session_min for o in outcomes if isinstance(o, Observation)] == [5, 6]


def test_trap_15_check_covers_the_whole_record_and_is_mcrf4xx() -> None:
    """The checksum covers the whole record and is CRC-16/MCRF4XX; a flipped bit fails."""
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
    """A zone of 8 is two hours, not 8 minutes."""
    start = cgm_session.decode_start(bytes.fromhex("e20704180d08180804e0c2"))
    assert start.zone.utc_offset() == datetime.timedelta(hours=2 + 1)


def test_trap_17_energy_is_in_kilojoules() -> None:
    """
    Energy is in kilojoules, as the service says, and not in joules, as the table of
    formats says.
    """
    measurement = heart_rate.decode(bytes.fromhex("1e5532002100"))
    assert measurement.energy_expended_kj == 50
    assert Observation(Code.ENERGY_EXPENDED, 50) in heart_rate.observations(measurement)


@pytest.mark.parametrize("value", ["1028", "102800", "1028000400"])
def test_trap_18_empty_or_odd_rr_tail_is_cut_off(value: str) -> None:
    """A missing or incomplete RR interval after the flag is an error."""
    with pytest.raises(Truncated):
        heart_rate.decode(bytes.fromhex(value))


def test_trap_19_sequence_does_not_identify_a_record() -> None:
    """A sequence does not identify a record, because it restarts when the memory is cleared."""
    before = _glucose("070100e3070815061f0db4003bc0f1")
    after = _glucose("070100e4070815061f0db4003bc0f1")
    assert before.sequence == after.sequence
    assert before != after
    assert before.base_time != after.base_time


@pytest.mark.parametrize("value", ["07 01 0000 0500 ff07", "06 00 0000 0500"])
def test_trap_20_warm_up_frame_is_not_0(value: str) -> None:
    """A value of 0 during warm-up, with a trend of NaN and a clear status, is no glucose of 0."""
    octets = bytearray(bytes.fromhex(value))
    octets[0] = len(octets)
    assert _reasons(cgm.observations(cgm.decode(octets))) == [Refusal.WARM_UP]

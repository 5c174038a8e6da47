"""A collection of values from the air and from other projects' tests, with their decoding."""

import datetime
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from edge_agent.gatt import cgm_control, crc, racp
from edge_agent.gatt.battery import BatteryLevel
from edge_agent.gatt.blood_pressure import BloodPressureMeasurement
from edge_agent.gatt.cgm import CgmMeasurement, CgmRecord
from edge_agent.gatt.cgm_control import AlertLevel, Calibration, Interval
from edge_agent.gatt.cgm_session import CgmFeature, CgmStatus, SessionRunTime, SessionStart
from edge_agent.gatt.date_time import CurrentTime, DateTime, ReferenceTime, Zone
from edge_agent.gatt.errors import DecodeError
from edge_agent.gatt.glucose import GlucoseFeatures, GlucoseMeasurement
from edge_agent.gatt.glucose_context import GlucoseContext
from edge_agent.gatt.heart_rate import BodySensorLocation, HeartRateMeasurement
from edge_agent.gatt.ieee11073 import NotANumber, Number, from_float, from_sfloat
from edge_agent.gatt.pulse_oximeter import ContinuousOximetry, Oximetry, SpotCheck
from edge_agent.gatt.quirks import CrcKind
from edge_agent.gatt.registry import CHARACTERISTICS
from edge_agent.gatt.thermometer import TemperatureMeasurement, TemperatureUnit

_BESIDE_THE_PROJECT = Path(__file__).resolve().parents[5] / "shared" / "data"
_FILE = Path(os.environ.get("VITALVEIL_DATA", _BESIDE_THE_PROJECT)) / "gatt/gatt_vectors.json"


def _vectors() -> list[Any]:
    if not _FILE.is_file():
        reason = pytest.mark.skip(reason="the recorded data is not here: set VITALVEIL_DATA")
        return [pytest.param({}, id="none", marks=reason)]
    vectors = json.loads(_FILE.read_text())["vectors"]
    return [pytest.param(vector, id=vector["id"]) for vector in vectors]


@pytest.mark.parametrize("vector", _vectors())
def test_vector(vector: dict[str, Any]) -> None:
    """Each value decodes as in the collection, and is rejected if the collection says so."""
    value = bytes.fromhex(vector["hex"])
    if not vector["valid"]:
        with pytest.raises(DecodeError):
            _decode(vector["characteristic"], value)
        return
    _compare(_shown(vector["characteristic"], value), vector["expect"])


def _compare(got: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            _compare(one, other)
    elif isinstance(expected, dict):
        # If a field must be absent, an absent name counts as well.
        for name, wanted in expected.items():
            _compare(got.get(name), wanted)
    elif isinstance(expected, float):
        # The collection rounds to six digits, or to four decimal places.
        assert got == pytest.approx(expected, rel=1e-5) or round(got, 4) == expected
    else:
        assert got == expected


def _decode(characteristic: str, value: bytes) -> Any:
    # Only one value of the collection was sent to a sensor.
    if characteristic == "2A52" and value == bytes.fromhex("0103012d00"):
        return racp.decode_request(value)
    return CHARACTERISTICS[int(characteristic, 16)].decode(value)


def _shown(characteristic: str, value: bytes) -> Any:
    number = int.from_bytes(value, "little")
    if characteristic == "SFLOAT":
        return {"value": _number(from_sfloat(number))}
    if characteristic == "FLOAT32":
        return {"value": _number(from_float(number))}
    if characteristic == "CRC16-MCRF4XX":
        return {"crc": crc.crc16(CrcKind.MCRF4XX, value)}
    measurement = _decode(characteristic, value)
    shown = _SHOW[type(measurement)](measurement)
    # The decoder has verified the checksum, because it would have raised an error otherwise.
    for part in shown if isinstance(shown, list) else [shown]:
        part["crc"], part["crc_ok"] = _check(characteristic, value), True
    return shown


def _check(characteristic: str, value: bytes) -> int | None:
    lengths = {"2AA8": 6, "2AA9": 7, "2AAA": 11, "2AAB": 4}
    has_check = len(value) == lengths.get(characteristic, 0) or (
        characteristic == "2AA7" and crc.crc16(CrcKind.MCRF4XX, value[:-2]) == _tail(value)
    )
    return _tail(value) if has_check else None


def _tail(value: bytes) -> int:
    return int.from_bytes(value[-2:], "little")


def _number(number: Number | None) -> Any:
    if isinstance(number, NotANumber):
        return number.value
    return number if number is None else float(number)


def _iso(moment: DateTime | None) -> str | None:
    if moment is None:
        return None
    fields = (moment.year or 0, moment.month or 0, moment.day or 0)
    clock = datetime.time(moment.hour, moment.minute, moment.second)
    return "{:04}-{:02}-{:02}T".format(*fields) + clock.isoformat()


def _show_date_time(moment: DateTime) -> dict[str, Any]:
    names = ("year", "month", "day", "hour", "minute", "second")
    return {"iso": _iso(moment), **{name: getattr(moment, name) for name in names}}


def _show_zone(zone: Zone) -> dict[str, Any]:
    quarters, dst = zone.zone_quarters, zone.dst_quarters
    return {
        "tz_quarter_hours": quarters,
        "tz_minutes": None if quarters is None else quarters * 15,
        "dst_code": dst,
        "dst_minutes": None if dst is None else dst * 15,
    }


def _show_heart_rate(m: HeartRateMeasurement) -> dict[str, Any]:
    return {
        "heart_rate_bpm": m.heart_rate_bpm,
        "sensor_contact": m.sensor_contact,
        "energy_expended_kj": m.energy_expended_kj,
        "rr_raw": list(m.rr_intervals),
        "rr_ms": [units * 1000 / 1024 for units in m.rr_intervals],
    }


def _show_location(m: BodySensorLocation) -> dict[str, Any]:
    return {
        "location": m.location.name.lower() if m.location is not None else None,
        "code": m.code,
    }


def _show_glucose(m: GlucoseMeasurement) -> dict[str, Any]:
    shown = {
        "seq": m.sequence,
        "base_time": _iso(m.base_time),
        "time_offset_min": m.time_offset_min,
        "status": m.status,
        "context_follows": m.context_follows,
    }
    if (c := m.concentration) is not None:
        shown |= {"concentration": _number(c.value), "unit": c.unit.value}
        shown |= {"type": c.sample_type, "location": c.location}
    return shown


def _show_features(m: GlucoseFeatures) -> dict[str, Any]:
    return {"features": m.bits, "set_bits": [bit for bit in range(16) if m.bits >> bit & 1]}


def _show_request(m: racp.Request) -> dict[str, Any]:
    shown = {"opcode": m.op_code, "operator": m.operator, "filter_type": racp.Filter.SEQUENCE}
    return {**shown, "min_seq": m.bounds[0]}


def _show_count(m: racp.Count) -> dict[str, Any]:
    return {"opcode": m.op_code, "number_of_records": m.count}


def _show_answer(op_code: int) -> Callable[[Any], dict[str, Any]]:
    return lambda m: {"opcode": op_code, "request_opcode": m.request, "response_code": m.code}


def _show_cgm(m: CgmMeasurement) -> list[dict[str, Any]]:
    return [_show_record(record) for record in m.records]


def _show_record(r: CgmRecord) -> dict[str, Any]:
    return {
        "glucose_mgdl": _number(r.concentration_mg_dl),
        "time_offset_min": r.time_offset_min,
        "status": r.status,
        "cal_temp": r.cal_temp,
        "warning": r.warning,
        "trend": _number(r.trend_mg_dl_min),
        "quality": _number(r.quality_percent),
    }


def _show_feature(m: CgmFeature) -> dict[str, Any]:
    return {
        "features": m.bits,
        "e2e_crc_supported": m.e2e_crc,
        "trend": bool(m.bits >> 15 & 1),
        "quality": bool(m.bits >> 16 & 1),
        "type": m.sample_type,
        "location": m.location,
    }


def _show_status(m: CgmStatus) -> dict[str, Any]:
    octets = m.annunciation.to_bytes(3, "little")
    names = ("status", "cal_temp", "warning")
    return {"time_offset_min": m.time_offset_min, **dict(zip(names, octets, strict=True))}


def _show_start(m: SessionStart) -> dict[str, Any]:
    shown = {"local_time": _iso(m.date_time), **_show_zone(m.zone)}
    return {**_show_date_time(m.date_time), **shown}


def _show_calibration(m: Calibration) -> dict[str, Any]:
    return {
        "opcode": m.op_code,
        "concentration_mgdl": _number(m.concentration_mg_dl),
        "calibration_time_min": m.time_min,
        "type": m.sample_type,
        "location": m.location,
        "next_calibration_min": m.next_min,
        "record_number": m.record,
        "status": m.status,
    }


def _show_oximetry(m: Oximetry | None) -> list[Any] | None:
    return None if m is None else [_number(m.spo2_percent), _number(m.pulse_bpm)]


def _show_oximeter(m: SpotCheck | ContinuousOximetry) -> dict[str, Any]:
    oximetry = m.oximetry if isinstance(m, SpotCheck) else m.normal
    shown = {
        "spo2": _number(oximetry.spo2_percent),
        "pr": _number(oximetry.pulse_bpm),
        "meas_status": m.status,
        "device_sensor_status": m.sensor_status,
        "pai": _number(m.pulse_amplitude_percent),
    }
    if isinstance(m, SpotCheck):
        return {**shown, "timestamp": _iso(m.timestamp), "clock_not_set": m.clock_not_set}
    return {**shown, "fast": _show_oximetry(m.fast), "slow": _show_oximetry(m.slow)}


def _show_pressure(m: BloodPressureMeasurement) -> dict[str, Any]:
    return {
        "unit": m.unit.value,
        "systolic": _number(m.systolic),
        "diastolic": _number(m.diastolic),
        "map": _number(m.mean),
        "timestamp": _iso(m.timestamp),
        "pulse": _number(m.pulse_bpm),
        "user_id": m.user,
        "status": m.status,
    }


def _show_temperature(m: TemperatureMeasurement) -> dict[str, Any]:
    return {
        "unit": "C" if m.unit is TemperatureUnit.CELSIUS else "F",
        "temperature": _number(m.temperature),
        "timestamp": _iso(m.timestamp),
        "type": m.site,
    }


_SHOW: Final[dict[type, Callable[[Any], Any]]] = {
    DateTime: _show_date_time,
    Zone: _show_zone,
    CurrentTime: lambda m: {
        "iso": _iso(m.date_time),
        "day_of_week": m.day_of_week,
        "fractions256": m.fractions256,
        "adjust_reason": m.adjust_reason,
    },
    ReferenceTime: lambda m: {
        "time_source": m.source,
        "accuracy": m.accuracy_eighths_s,
        "days": m.days,
        "hours": m.hours,
    },
    HeartRateMeasurement: _show_heart_rate,
    BodySensorLocation: _show_location,
    GlucoseMeasurement: _show_glucose,
    GlucoseContext: lambda m: {"seq": m.sequence, "meal": m.meal},
    GlucoseFeatures: _show_features,
    racp.Request: _show_request,
    racp.Count: _show_count,
    racp.RacpResponse: _show_answer(6),
    CgmMeasurement: _show_cgm,
    CgmFeature: _show_feature,
    CgmStatus: _show_status,
    SessionStart: _show_start,
    SessionRunTime: lambda m: {"hours": m.hours},
    Interval: lambda m: {"opcode": m.op_code, "interval_min": m.minutes},
    Calibration: _show_calibration,
    AlertLevel: lambda m: {"opcode": m.op_code, "level_mgdl": _number(m.level)},
    SpotCheck: _show_oximeter,
    ContinuousOximetry: _show_oximeter,
    BloodPressureMeasurement: _show_pressure,
    TemperatureMeasurement: _show_temperature,
    BatteryLevel: lambda m: {"percent": m.percent},
    cgm_control.CgmResponse: _show_answer(0x1C),
}

"""Every decoder with its encoder, their measurements, and hand-written values."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from edge_agent.gatt import (
    battery,
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
from edge_agent.gatt.octets import Value
from edge_agent.gatt.quirks import CrcKind, Quirks
from tests.unit.edge_agent.gatt.measurements import (
    cgms,
    contexts,
    continuous,
    date_times,
    features,
    glucoses,
    heart_rates,
    local_zones,
    operations,
    pressures,
    quarters,
    requests,
    responses,
    run_times,
    spot_checks,
    starts,
    statuses,
    temperatures,
    uint,
    weights,
)

CHECKED: Final = Quirks(e2e_crc=True)
UNCHECKED: Final = Quirks(e2e_crc=False)
ODD: Final = Quirks(e2e_crc=True, crc=CrcKind.CCITT_FALSE, warning_first=True)


class Codec(msgspec.Struct, frozen=True):
    """A decoder, its encoder, and the measurements that they handle."""

    name: str
    decode: Callable[[Value], Any]
    encode: Callable[[Any], bytes]
    measurements: st.SearchStrategy[Any]
    golden: str
    """A value that uses most fields."""
    shorter: type[Any] | tuple[()] = ()
    """
    The types of measurements whose value may have a prefix that is valid too, by the
    specification.
    """


def _with(function: Callable[..., Any], quirks: Quirks) -> Callable[..., Any]:
    return lambda argument: function(argument, quirks)


def _checked(
    name: str,
    codec: tuple[Callable[..., Any], Callable[..., bytes]],
    measurements: st.SearchStrategy[Any],
    golden: str,
    *,
    shorter: type[Any] | tuple[()] = (),
) -> list[Codec]:
    """Return *codec* with a checksum, without, and with every quirk."""
    decode, encode = codec
    codecs = []
    for label, quirks in (("checked", CHECKED), ("unchecked", UNCHECKED), ("odd", ODD)):
        value = encode(decode(bytes.fromhex(golden), UNCHECKED), quirks).hex()
        codecs.append(
            Codec(
                f"{name}, {label}",
                _with(decode, quirks),
                _with(encode, quirks),
                measurements,
                value,
                shorter,
            )
        )
    return codecs


CODECS: Final = [
    Codec("date time", date_time.decode, date_time.encode, date_times, "e207 04 11 0f 33 00"),
    Codec(
        "time zone",
        date_time.decode_zone,
        date_time.encode_zone,
        st.builds(date_time.Zone, quarters, st.none()),
        "f0",
    ),
    Codec(
        "local time",
        date_time.decode_local_time,
        date_time.encode_local_time,
        local_zones,
        "04 04",
    ),
    Codec(
        "reference time",
        date_time.decode_reference_time,
        date_time.encode_reference_time,
        st.builds(
            date_time.ReferenceTime, uint(8), uint(8), uint(8), st.integers(0, 23) | st.just(255)
        ),
        "01 08 00 05",
    ),
    Codec(
        "current time",
        date_time.decode_current_time,
        date_time.encode_current_time,
        st.builds(date_time.CurrentTime, date_times, st.integers(0, 7), uint(8), uint(8)),
        "ea07 0b 15 12 24 36 06 80 01",
    ),
    Codec(
        "heart rate",
        heart_rate.decode,
        heart_rate.encode,
        heart_rates,
        "1f 2c01 3200 0004 f803",
        shorter=heart_rate.HeartRateMeasurement,
    ),
    Codec(
        "body sensor location",
        heart_rate.decode_location,
        heart_rate.encode_location,
        st.builds(heart_rate.BodySensorLocation, uint(8)),
        "01",
    ),
    Codec(
        "glucose",
        glucose.decode,
        glucose.encode,
        glucoses,
        "1b 0f00 e807 01 1e 05 3a 1b 5301 6fb0 f8 0000",
    ),
    Codec(
        "glucose context",
        glucose_context.decode,
        glucose_context.encode,
        contexts,
        "ff 0f00 00 01 05e0 01 51 0807 32 01 01c0 42f0",
    ),
    Codec(
        "glucose feature",
        glucose.decode_features,
        glucose.encode_features,
        st.builds(glucose.GlucoseFeatures, uint(16)),
        "ff07",
    ),
    Codec(
        "records, request",
        racp.decode_request,
        racp.encode_request,
        requests,
        "01 04 01 0100 0900",
    ),
    Codec(
        "records, response",
        racp.decode_response,
        racp.encode_response,
        responses,
        "05 00 0c00 0000",
        shorter=racp.Count,
    ),
    *_checked(
        "cgm",
        (cgm.decode, cgm.encode),
        cgms,
        "0de3 7800 1e00 010203 5000 6000",
        shorter=cgm.CgmMeasurement,
    ),
    Codec(
        "cgm feature",
        cgm_session.decode_feature,
        cgm_session.encode_feature,
        features,
        "008001 59 ffff",
    ),
    *_checked(
        "cgm status",
        (cgm_session.decode_status, cgm_session.encode_status),
        statuses,
        "0500 3f3fff",
    ),
    *_checked(
        "cgm start",
        (cgm_session.decode_start, cgm_session.encode_start),
        starts,
        "e207 04 18 0d 08 18 08 04",
    ),
    *_checked(
        "cgm run time",
        (cgm_session.decode_run_time, cgm_session.encode_run_time),
        run_times,
        "5001",
    ),
    *_checked(
        "cgm control",
        (cgm_control.decode, cgm_control.encode),
        operations,
        "06 0120 0a00 32 1400 0100 04",
        shorter=cgm_control.Interval,
    ),
    Codec(
        "spot check",
        pulse_oximeter.decode_spot_check,
        pulse_oximeter.encode_spot_check,
        spot_checks,
        "0f 5e00 9300 e807 0b 1d 17 08 39 2040 220000 57f0",
    ),
    Codec(
        "continuous oximetry",
        pulse_oximeter.decode_continuous,
        pulse_oximeter.encode_continuous,
        continuous,
        "1f 6200 4e00 6100 5000 6200 4d00 2000 200000 57f0",
    ),
    Codec(
        "blood pressure",
        blood_pressure.decode,
        blood_pressure.encode,
        pressures,
        "1e 8a00 5800 6800 ea07 04 11 14 29 3b 3c00 01 2700",
    ),
    Codec(
        "temperature",
        thermometer.decode,
        thermometer.encode,
        temperatures,
        "06 710e00fe e407 05 15 0a 1e 2d 01",
    ),
    Codec(
        "weight",
        weight.decode,
        weight.encode,
        weights,
        "0e b036 ea07 01 02 03 04 05 01 eb00 d606",
    ),
    Codec(
        "battery",
        battery.decode,
        battery.encode,
        st.builds(battery.BatteryLevel, st.integers(0, 100)),
        "64",
    ),
]

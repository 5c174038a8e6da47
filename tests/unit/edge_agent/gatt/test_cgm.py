"""Records of continuous glucose sensors."""

import msgspec
import pytest

from edge_agent.gatt import cgm, cgm_session
from edge_agent.gatt.cgm import CgmMeasurement, CgmRecord
from edge_agent.gatt.errors import BadCrc, DecodeError, TrailingBytes, Truncated
from edge_agent.gatt.ieee11073 import NotANumber, scaled
from edge_agent.gatt.meaning import Observation, Outcome, Refused, When
from edge_agent.gatt.quirks import Quirks
from wire.quantities import Code
from wire.refusals import Refusal

_RECORD = CgmRecord(concentration_mg_dl=108, time_offset_min=5)
_CHECKED, _UNCHECKED = Quirks(e2e_crc=True), Quirks(e2e_crc=False)


def _judge(record: CgmRecord) -> Outcome:
    (outcome,) = cgm.observations(CgmMeasurement((record,)))
    return outcome


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("06 00 6c00 0500", (_RECORD,), id="nothing but glucose"),
        pytest.param(
            "0a 03 6c00 0500 ebff 63f0",
            (
                msgspec.structs.replace(
                    _RECORD, trend_mg_dl_min=scaled(-21, -1), quality_percent=scaled(99, -1)
                ),
            ),
            id="trend and quality",
        ),
        pytest.param(
            "07 40 6c00 0500 04",
            (msgspec.structs.replace(_RECORD, cal_temp=4),),
            id="one octet of three",
        ),
        pytest.param("06 1c 6c00 0500", (_RECORD,), id="reserved flags"),
        pytest.param(
            "06 00 6c00 0500 06 00 ff07 0600",
            (
                _RECORD,
                CgmRecord(concentration_mg_dl=NotANumber.NAN, time_offset_min=6),
            ),
            id="two records",
        ),
    ],
)
def test_decode_golden_value(value: str, expected: tuple[CgmRecord, ...]) -> None:
    """Hand-written values from the specification decode field by field."""
    assert cgm.decode(bytes.fromhex(value)) == CgmMeasurement(expected)


@pytest.mark.parametrize(
    ("value", "quirks", "error"),
    [
        pytest.param("", Quirks(), Truncated, id="no record"),
        pytest.param("00 00 6c00 0500", Quirks(), Truncated, id="size 0"),
        pytest.param("01", Quirks(), Truncated, id="nothing but a size"),
        pytest.param("07 00 6c00 0500", Quirks(), Truncated, id="size beyond the value"),
        pytest.param("07 00 6c00 0500 00", Quirks(), Truncated, id="half a check"),
        pytest.param("09 00 6c00 0500 000000", Quirks(), TrailingBytes, id="more than a check"),
        pytest.param("06 00 6c00 0500 00", Quirks(), Truncated, id="a byte after the record"),
        pytest.param("06 00 6c00 0500", _CHECKED, Truncated, id="no check where there must be"),
        pytest.param("08 00 6c00 0500 0000", _UNCHECKED, TrailingBytes, id="a check too much"),
        pytest.param("08 00 6c00 0500 0000", _CHECKED, BadCrc, id="wrong check"),
    ],
)
def test_malformed_record_is_refused(value: str, quirks: Quirks, error: type[DecodeError]) -> None:
    """A record whose size, flags and checksum contradict each other is refused."""
    with pytest.raises(error):
        cgm.decode(bytes.fromhex(value), quirks)


def test_concentration_is_converted_and_dated_by_the_session() -> None:
    """108 mg/dL are converted, and dated 5 minutes into the session."""
    assert _judge(_RECORD) == Observation(Code.GLUCOSE_INTERSTITIAL, 599, When(session_min=5))


_SPOILING_BITS = {
    **dict.fromkeys((2, 3, 5, 12, 13), Refusal.SENSOR_FAULT),
    **dict.fromkeys((22, 23), Refusal.SATURATED),
}


@pytest.mark.parametrize("bit", range(24))
def test_annunciation_that_spoils_the_value_refuses_it(bit: int) -> None:
    """
    A fault of the sensor refuses the value; an alert about the person or a reserved bit
    does not.
    """
    status, cal_temp, warning = (1 << bit).to_bytes(3, "little")
    record = msgspec.structs.replace(_RECORD, status=status, cal_temp=cal_temp, warning=warning)
    outcome = _judge(record)
    reason = outcome.reason if isinstance(outcome, Refused) else None
    assert reason is _SPOILING_BITS.get(bit)


def test_annunciation_octets_of_old_firmware_come_in_reverse() -> None:
    """
    The quirk puts each annunciation octet of old firmware in its place, in records and in the
    status.
    """
    octets, quirks = "010203", Quirks(warning_first=True)
    (record,) = cgm.decode(bytes.fromhex("09 e0 6c00 0500" + octets), quirks).records
    status = cgm_session.decode_status(bytes.fromhex("0500" + octets), quirks)
    assert (record.warning, record.cal_temp, record.status) == (1, 2, 3)
    assert status.annunciation == record.annunciation == 0x010203

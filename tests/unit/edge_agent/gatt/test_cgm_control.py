"""The control point of continuous glucose sensors."""

import pytest

from edge_agent.gatt import cgm_control
from edge_agent.gatt.cgm_control import CgmOpCode, Interval
from edge_agent.gatt.errors import ReservedValue, Truncated
from edge_agent.gatt.quirks import Quirks

_CHECKED, _UNCHECKED = Quirks(e2e_crc=True), Quirks(e2e_crc=False)


@pytest.mark.parametrize("op_code", [0x00, 0x1D, 0xFF])
def test_reserved_op_code_is_refused(op_code: int) -> None:
    """An unknown operation is refused, because its operand is unknown."""
    with pytest.raises(ReservedValue):
        cgm_control.decode(bytes((op_code,)))


@pytest.mark.parametrize(
    ("value", "quirks", "expected"),
    [
        pytest.param("03 05", Quirks(), Interval(CgmOpCode.INTERVAL, 5), id="one byte"),
        pytest.param("03 0501", Quirks(), Interval(CgmOpCode.INTERVAL, 261, 2), id="two bytes"),
        pytest.param("03 0501", _UNCHECKED, Interval(CgmOpCode.INTERVAL, 261, 2), id="no check"),
        pytest.param("03 0a 8a75", _CHECKED, Interval(CgmOpCode.INTERVAL, 10), id="and a check"),
    ],
)
def test_interval_has_one_byte_or_two(value: str, quirks: Quirks, expected: Interval) -> None:
    """
    An interval has one byte in the service and two in GSS: the length decides, with and without a
    checksum.
    """
    assert cgm_control.decode(bytes.fromhex(value), quirks) == expected


def test_interval_that_is_set_has_one_byte() -> None:
    """An interval to be set has one byte; a longer one would be half a checksum."""
    with pytest.raises(Truncated):
        cgm_control.decode(bytes.fromhex("01 0501"))

"""Sessions of continuous glucose sensors."""

import pytest

from edge_agent.gatt import cgm_session
from edge_agent.gatt.errors import BadCrc


def test_feature_tells_whether_values_end_in_a_check() -> None:
    """Bit 12, under a check of its own or under 0xFFFF."""
    assert cgm_session.decode_feature(bytes.fromhex("6e9e01 16 8ac1")).e2e_crc
    assert not cgm_session.decode_feature(bytes.fromhex("6e8e01 16 ffff")).e2e_crc
    with pytest.raises(BadCrc):
        cgm_session.decode_feature(bytes.fromhex("6e8e01 16 0000"))

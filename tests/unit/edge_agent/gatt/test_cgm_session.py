"""Sessions of continuous glucose sensors."""

import datetime

import pytest

from edge_agent.gatt import cgm_session
from edge_agent.gatt.errors import BadCrc


def test_feature_tells_whether_values_end_in_a_check() -> None:
    """
    Bit 12 of the features says whether values have a checksum; its own checksum may be
    0xFFFF.
    """
    assert cgm_session.decode_feature(bytes.fromhex("6e9e01 16 8ac1")).e2e_crc
    assert not cgm_session.decode_feature(bytes.fromhex("6e8e01 16 ffff")).e2e_crc
    with pytest.raises(BadCrc):
        cgm_session.decode_feature(bytes.fromhex("6e8e01 16 0000"))


@pytest.mark.parametrize(
    ("value", "began_at"),
    [
        pytest.param("e207 04 18 0d 08 18 08 04", "2018-04-24T13:08:24+03:00", id="two and one"),
        pytest.param("e207 04 18 0d 08 18 d0 00", "2018-04-24T13:08:24-12:00", id="westernmost"),
    ],
)
def test_session_began_at_an_instant(value: str, began_at: str) -> None:
    """Local time, zone and daylight saving give the start of a session."""
    start = cgm_session.decode_start(bytes.fromhex(value))
    assert start.began_at() == datetime.datetime.fromisoformat(began_at)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("e207 04 18 0d 08 18 80 04", id="zone not known"),
        pytest.param("e207 04 18 0d 08 18 08 ff", id="daylight saving not known"),
        pytest.param("0000 04 18 0d 08 18 08 04", id="year not known"),
    ],
)
def test_session_start_without_all_of_its_parts_is_no_instant(value: str) -> None:
    """A session start with an unknown part gives no time."""
    assert cgm_session.decode_start(bytes.fromhex(value)).began_at() is None

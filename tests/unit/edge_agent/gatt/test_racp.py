"""Requests for stored records."""

import pytest

from edge_agent.gatt import racp
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.errors import DecodeError, ReservedValue, TrailingBytes, Truncated
from edge_agent.gatt.racp import (
    Count,
    Operator,
    RacpOpCode,
    RacpResponse,
    RacpResponseCode,
    Request,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("01 01", Request(RacpOpCode.REPORT, Operator.ALL), id="report all"),
        pytest.param(
            "01 03 01 2d00", Request(RacpOpCode.REPORT, Operator.FROM, (45,)), id="report from 45"
        ),
        pytest.param(
            "04 04 01 0100 0900",
            Request(RacpOpCode.COUNT, Operator.RANGE, (1, 9)),
            id="count 1 to 9",
        ),
        pytest.param(
            "01 02 02 ea07 0b 15 12 24 36",
            Request(RacpOpCode.REPORT, Operator.UP_TO, (DateTime(2026, 11, 21, 18, 36, 54),)),
            id="report up to a time",
        ),
        pytest.param("03 00", Request(RacpOpCode.ABORT), id="abort"),
        pytest.param("07 06", Request(RacpOpCode.COMBINED_REPORT, Operator.LAST), id="last"),
    ],
)
def test_request_golden_value(value: str, expected: Request) -> None:
    """Hand-written requests from the specification decode and encode alike."""
    octets = bytes.fromhex(value)
    assert racp.decode_request(octets) == expected
    assert racp.encode_request(expected) == octets


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("05 00 0000", Count(RacpOpCode.COUNT_RESPONSE, 0), id="no records to count"),
        pytest.param("05 00 0c01", Count(RacpOpCode.COUNT_RESPONSE, 268), id="two bytes"),
        pytest.param("05 00 0c", Count(RacpOpCode.COUNT_RESPONSE, 12, 1), id="one byte"),
        pytest.param("08 00 0c000100", Count(RacpOpCode.COMBINED_RESPONSE, 65548, 4), id="four"),
        pytest.param(
            "06 00 01 06", RacpResponse(RacpOpCode.REPORT, RacpResponseCode.NO_RECORDS), id="none"
        ),
        pytest.param(
            "06 00 01 0a", RacpResponse(RacpOpCode.REPORT, RacpResponseCode.BUSY), id="busy"
        ),
        pytest.param("06 00 0c 63", RacpResponse(12, 99), id="reserved codes are kept"),
    ],
)
def test_response_golden_value(value: str, expected: Count | RacpResponse) -> None:
    """Hand-written responses from the specification decode and encode alike."""
    octets = bytes.fromhex(value)
    assert racp.decode_response(octets) == expected
    assert racp.encode_response(expected) == octets


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param("06 00 01 01", ReservedValue, id="a response"),
        pytest.param("00 01", ReservedValue, id="reserved op code"),
        pytest.param("01 00", ReservedValue, id="report nothing"),
        pytest.param("03 01", ReservedValue, id="abort all"),
        pytest.param("01 07", ReservedValue, id="reserved operator"),
        pytest.param("01 03 03 0000", ReservedValue, id="reserved filter"),
        pytest.param("01 04 01 0100", Truncated, id="half a range"),
        pytest.param("01 01 00", TrailingBytes, id="an operand too much"),
    ],
)
def test_malformed_request_is_refused(value: str, error: type[DecodeError]) -> None:
    """A malformed request is refused by a virtual sensor."""
    with pytest.raises(error):
        racp.decode_request(bytes.fromhex(value))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param("01 01", ReservedValue, id="a request"),
        pytest.param("06 01 01 01", ReservedValue, id="an operator"),
        pytest.param("06 00 01", Truncated, id="half a response"),
        pytest.param("06 00 01 01 00", TrailingBytes, id="a byte too much"),
        pytest.param("05 00", Truncated, id="no count"),
        pytest.param("05 00 010203", Truncated, id="three bytes of count"),
        pytest.param("05 00 0102030405", TrailingBytes, id="five"),
    ],
)
def test_malformed_response_is_refused(value: str, error: type[DecodeError]) -> None:
    """A malformed response is refused, and ends no procedure."""
    with pytest.raises(error):
        racp.decode_response(bytes.fromhex(value))


def test_records_after_the_last_persisted_one_are_asked_for() -> None:
    """The request that resumes selects records from the named sequence on."""
    assert racp.encode_request(racp.report_from(46)) == bytes.fromhex("01 03 01 2e00")

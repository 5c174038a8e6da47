"""Record Access Control Point (0x2A52) of glucose meters and CGM sensors."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import date_time
from edge_agent.gatt.date_time import DateTime
from edge_agent.gatt.errors import ReservedValue
from edge_agent.gatt.octets import Octets, Value


class RacpOpCode(enum.IntEnum):
    """GSS, Record Access Control Point, Op Code: a request or an answer."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    COUNT = 4
    COUNT_RESPONSE = 5
    RESPONSE = 6
    COMBINED_REPORT = 7
    COMBINED_RESPONSE = 8


class Operator(enum.IntEnum):
    """GSS, Record Access Control Point, Operator: which records are selected."""

    NULL = 0
    ALL = 1
    UP_TO = 2
    FROM = 3
    RANGE = 4
    FIRST = 5
    LAST = 6


class Filter(enum.IntEnum):
    """The field of a record that bounds are compared with."""

    SEQUENCE = 1
    """The sequence of a glucose record; the time offset, in minutes, of one of a CGM session."""
    SHOWN_TIME = 2
    """The clock that the owner sees; glucose only."""


class RacpResponseCode(enum.IntEnum):
    """The result of a request. Higher numbers are reserved."""

    SUCCESS = 1
    OP_CODE_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7
    NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9
    BUSY = 10


Bound = int | DateTime

_REQUESTS: Final = frozenset(
    {
        RacpOpCode.REPORT,
        RacpOpCode.DELETE,
        RacpOpCode.ABORT,
        RacpOpCode.COUNT,
        RacpOpCode.COMBINED_REPORT,
    }
)
_COUNTS: Final = frozenset({RacpOpCode.COUNT_RESPONSE, RacpOpCode.COMBINED_RESPONSE})
_BOUNDS: Final = {Operator.UP_TO: 1, Operator.FROM: 1, Operator.RANGE: 2}
# GSS: the service defines the size of a count. Glucose and CGM have 2 bytes; sensors use 1, 2 or
# 4.
_COUNT_BYTES: Final = (1, 2, 4)


class Request(msgspec.Struct, frozen=True):
    """A request of a collector."""

    op_code: RacpOpCode
    operator: Operator = Operator.NULL
    bounds: tuple[Bound, ...] = ()
    """One for UP_TO and FROM, two for RANGE: whole numbers, or times of the owner's clock."""


class Count(msgspec.Struct, frozen=True):
    """The number of records, or of those that a combined report has sent; may be 0."""

    op_code: RacpOpCode
    count: int
    size: int = 2
    """The size of the number in bytes."""


class RacpResponse(msgspec.Struct, frozen=True):
    """The result of a request."""

    request: int
    """The op code of the request."""
    code: int
    """A `RacpResponseCode`, or a reserved number."""


def report_from(sequence: int) -> Request:
    """Return the request for every record from *sequence* on."""
    return Request(RacpOpCode.REPORT, Operator.FROM, (sequence,))


def report_between(first: int, last: int) -> Request:
    """Return the request for the records from *first* to *last*."""
    return Request(RacpOpCode.REPORT, Operator.RANGE, (first, last))


def decode_request(value: Value) -> Request:
    """
    Read a request, as a sensor receives it.

    Raises:
        DecodeError: The bytes are not a request.
    """
    octets = Octets(value)
    op_code = octets.uint8()
    if op_code not in _REQUESTS:
        raise ReservedValue("op code of a request")
    operator = octets.uint8()
    if operator > Operator.LAST or (operator == Operator.NULL) != (op_code == RacpOpCode.ABORT):
        raise ReservedValue("operator")
    bounds = _take_bounds(octets, _BOUNDS.get(Operator(operator), 0))
    octets.end()
    return Request(RacpOpCode(op_code), Operator(operator), bounds)


def decode_response(value: Value) -> Count | RacpResponse:
    """
    Read an answer, as a collector receives it.

    Raises:
        DecodeError: The bytes are neither a count nor a response.
    """
    octets = Octets(value)
    op_code = octets.uint8()
    if op_code not in _COUNTS and op_code != RacpOpCode.RESPONSE:
        raise ReservedValue("op code of a response")
    if octets.uint8() != Operator.NULL:
        raise ReservedValue("operator of a response")
    if op_code == RacpOpCode.RESPONSE:
        response = RacpResponse(octets.uint8(), octets.uint8())
        octets.end()
        return response
    # The length gives the size. 3 bytes are a truncated number of 4.
    size = next((size for size in _COUNT_BYTES if octets.left <= size), _COUNT_BYTES[-1])
    count = Count(RacpOpCode(op_code), octets.unsigned(size), size)
    octets.end()
    return count


def encode_request(request: Request) -> bytes:
    """Return *request* as a collector writes it."""
    head = bytes((request.op_code, request.operator))
    if not request.bounds:
        return head
    kind = Filter.SEQUENCE if isinstance(request.bounds[0], int) else Filter.SHOWN_TIME
    return head + bytes((kind,)) + b"".join(map(_encode_bound, request.bounds))


def encode_response(response: Count | RacpResponse) -> bytes:
    """Return *response* as a sensor indicates it."""
    if isinstance(response, RacpResponse):
        return bytes((RacpOpCode.RESPONSE, Operator.NULL, response.request, response.code))
    head = bytes((response.op_code, Operator.NULL))
    return head + response.count.to_bytes(response.size, "little")


def _take_bounds(octets: Octets, count: int) -> tuple[Bound, ...]:
    if not count:
        return ()
    kind = octets.uint8()
    if kind == Filter.SEQUENCE:
        return tuple(octets.uint16() for _ in range(count))
    if kind == Filter.SHOWN_TIME:
        return tuple(date_time.take(octets) for _ in range(count))
    raise ReservedValue("filter type")


def _encode_bound(bound: Bound) -> bytes:
    return struct.pack("<H", bound) if isinstance(bound, int) else date_time.encode(bound)

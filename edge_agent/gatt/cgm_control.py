"""CGM Specific Ops Control Point (0x2AAC): requests to a CGM sensor, and its answers."""

import enum
import struct
from typing import Final

import msgspec

from edge_agent.gatt import crc
from edge_agent.gatt.errors import ReservedValue
from edge_agent.gatt.ieee11073 import Number, to_sfloat
from edge_agent.gatt.octets import Octets, Value, nibbles
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks


class CgmOpCode(enum.IntEnum):
    """GSS, CGM Specific Ops Control Point, Op Code: a request or an answer."""

    SET_INTERVAL = 0x01
    GET_INTERVAL = 0x02
    INTERVAL = 0x03
    SET_CALIBRATION = 0x04
    GET_CALIBRATION = 0x05
    CALIBRATION = 0x06
    SET_PATIENT_HIGH = 0x07
    GET_PATIENT_HIGH = 0x08
    PATIENT_HIGH = 0x09
    SET_PATIENT_LOW = 0x0A
    GET_PATIENT_LOW = 0x0B
    PATIENT_LOW = 0x0C
    SET_HYPO = 0x0D
    GET_HYPO = 0x0E
    HYPO = 0x0F
    SET_HYPER = 0x10
    GET_HYPER = 0x11
    HYPER = 0x12
    SET_RATE_OF_DECREASE = 0x13
    GET_RATE_OF_DECREASE = 0x14
    RATE_OF_DECREASE = 0x15
    SET_RATE_OF_INCREASE = 0x16
    GET_RATE_OF_INCREASE = 0x17
    RATE_OF_INCREASE = 0x18
    RESET_ALERT = 0x19
    START_SESSION = 0x1A
    STOP_SESSION = 0x1B
    RESPONSE = 0x1C
    """GSS calls it 0x0F in one place, which is the hypo alert level."""


class CgmResponseCode(enum.IntEnum):
    """The result of a request. Higher numbers are reserved."""

    SUCCESS = 1
    OP_CODE_NOT_SUPPORTED = 2
    INVALID_OPERAND = 3
    NOT_COMPLETED = 4
    OUT_OF_RANGE = 5


_COMMANDS: Final = frozenset(
    {
        CgmOpCode.GET_INTERVAL,
        CgmOpCode.GET_PATIENT_HIGH,
        CgmOpCode.GET_PATIENT_LOW,
        CgmOpCode.GET_HYPO,
        CgmOpCode.GET_HYPER,
        CgmOpCode.GET_RATE_OF_DECREASE,
        CgmOpCode.GET_RATE_OF_INCREASE,
        CgmOpCode.RESET_ALERT,
        CgmOpCode.START_SESSION,
        CgmOpCode.STOP_SESSION,
    }
)


class Command(msgspec.Struct, frozen=True):
    """A request without an operand."""

    op_code: CgmOpCode


class Interval(msgspec.Struct, frozen=True):
    """The interval of notifications: a request to set it, or the current one."""

    op_code: CgmOpCode
    minutes: int
    """0 means only on request, 255 as fast as the sensor can."""
    size: int = 1
    """The size of the number in bytes."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A calibration: a request to set one, or a stored one."""

    op_code: CgmOpCode
    concentration_mg_dl: Number
    time_min: int
    """Minutes since the start of the session, as is `next_min`."""
    sample_type: int
    location: int
    next_min: int
    record: int
    status: int
    """Bits: 0 rejected, 1 out of range, 2 pending."""


class CalibrationRequest(msgspec.Struct, frozen=True):
    """Asks for a stored calibration."""

    record: int
    """0xFFFF asks for the last one."""


class AlertLevel(msgspec.Struct, frozen=True):
    """A level in mg/dL, or a rate in mg/dL/min: a request to set it, or the current one."""

    op_code: CgmOpCode
    level: Number


class CgmResponse(msgspec.Struct, frozen=True):
    """The result of a request."""

    request: int
    """The op code of the request."""
    code: int
    """A `CgmResponseCode`, or a reserved number."""


Operation = Command | Interval | Calibration | CalibrationRequest | AlertLevel | CgmResponse


def decode(value: Value, quirks: Quirks = NO_QUIRKS) -> Operation:
    """
    Read what a collector writes or a sensor indicates, 0x2AAC.

    Raises:
        DecodeError: The op code is reserved, its operand has a wrong length, or the checksum is
            wrong.
    """
    octets = Octets(value)
    number = octets.uint8()
    if not CgmOpCode.SET_INTERVAL <= number <= CgmOpCode.RESPONSE:
        raise ReservedValue("op code")
    operation = _take_operation(octets, CgmOpCode(number), quirks)
    crc.finish(octets, value, quirks)
    return operation


def encode(operation: Operation, quirks: Quirks = NO_QUIRKS) -> bytes:
    """Return *operation* as it is written or indicated."""
    return crc.append(_encode_operation(operation), quirks)


def _take_operation(octets: Octets, op_code: CgmOpCode, quirks: Quirks) -> Operation:
    if op_code in _COMMANDS:
        return Command(op_code)
    match op_code:
        case CgmOpCode.SET_INTERVAL | CgmOpCode.INTERVAL:
            size = _interval_size(op_code, octets.left, quirks)
            return Interval(op_code, octets.unsigned(size), size)
        case CgmOpCode.SET_CALIBRATION | CgmOpCode.CALIBRATION:
            return _take_calibration(octets, op_code)
        case CgmOpCode.GET_CALIBRATION:
            return CalibrationRequest(octets.uint16())
        case CgmOpCode.RESPONSE:
            return CgmResponse(octets.uint8(), octets.uint8())
        case _:
            return AlertLevel(op_code, octets.sfloat())


def _interval_size(op_code: CgmOpCode, left: int, quirks: Quirks) -> int:
    # All known sensors use one byte; GSS has two for the response. The length decides, because a
    # checksum has two bytes as well.
    wide = {True: (4,), False: (2,), None: (2, 4)}[quirks.e2e_crc]
    return 2 if op_code is CgmOpCode.INTERVAL and left in wide else 1


def _take_calibration(octets: Octets, op_code: CgmOpCode) -> Calibration:
    concentration_mg_dl, time_min = octets.sfloat(), octets.uint16()
    sample_type, location = nibbles(octets.uint8())
    return Calibration(
        op_code=op_code,
        concentration_mg_dl=concentration_mg_dl,
        time_min=time_min,
        sample_type=sample_type,
        location=location,
        next_min=octets.uint16(),
        record=octets.uint16(),
        status=octets.uint8(),
    )


def _encode_operation(operation: Operation) -> bytes:
    match operation:
        case Command(op_code):
            return bytes((op_code,))
        case Interval(op_code, minutes, size):
            return bytes((op_code,)) + minutes.to_bytes(size, "little")
        case CalibrationRequest(record):
            return struct.pack("<BH", CgmOpCode.GET_CALIBRATION, record)
        case AlertLevel(op_code, level):
            return struct.pack("<BH", op_code, to_sfloat(level))
        case CgmResponse(request, code):
            return bytes((CgmOpCode.RESPONSE, request, code))
        case _:
            return _encode_calibration(operation)


def _encode_calibration(calibration: Calibration) -> bytes:
    return struct.pack(
        "<BHHBHHB",
        calibration.op_code,
        to_sfloat(calibration.concentration_mg_dl),
        calibration.time_min,
        calibration.location << 4 | calibration.sample_type,
        calibration.next_min,
        calibration.record,
        calibration.status,
    )

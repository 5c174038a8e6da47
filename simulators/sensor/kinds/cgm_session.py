"""The session of a CGM sensor: its start, its state and its control point."""

import datetime
from collections.abc import Callable
from typing import Final

from edge_agent.gatt import cgm_control, cgm_session
from edge_agent.gatt.cgm_control import (
    AlertLevel,
    Calibration,
    CalibrationRequest,
    CgmOpCode,
    CgmResponse,
    CgmResponseCode,
    Command,
    Interval,
    Operation,
)
from edge_agent.gatt.cgm_session import (
    CgmFeature,
    CgmStatus,
    Feature,
    SessionRunTime,
    SessionStart,
)
from edge_agent.gatt.date_time import DateTime, Zone
from edge_agent.gatt.errors import BadCrc, DecodeError, ReservedValue, Truncated
from edge_agent.gatt.ieee11073 import NotANumber, Scaled
from edge_agent.gatt.quirks import Quirks
from edge_agent.gatt.specimen import SampleLocation, SampleType
from simulators.sensor.device.attributes import Characteristic, Refused
from simulators.sensor.device.clock import to_date_time
from simulators.sensor.device.link import SensorLink
from simulators.sensor.device.peripheral import Peripheral

CONTROL_POINT: Final = 0x2AAC
_FEATURE: Final = 0x2AA8
_STATUS: Final = 0x2AA9
_START: Final = 0x2AAA
_RUN_TIME: Final = 0x2AAB
# CGM Service 1.0.2, section 1.6: error codes of this service.
_MISSING_CRC: Final = 0x80
_INVALID_CRC: Final = 0x81
_OUT_OF_RANGE: Final = 0xFF
_RUN_TIME_HOURS: Final = 240
_UNKNOWN_START: Final = SessionStart(DateTime(None, None, None, 0, 0, 0), Zone(None, None))
_MINUTE_S: Final = 60
_LEVELS: Final = {
    CgmOpCode.GET_PATIENT_HIGH: CgmOpCode.PATIENT_HIGH,
    CgmOpCode.GET_PATIENT_LOW: CgmOpCode.PATIENT_LOW,
    CgmOpCode.GET_HYPO: CgmOpCode.HYPO,
    CgmOpCode.GET_HYPER: CgmOpCode.HYPER,
    CgmOpCode.GET_RATE_OF_DECREASE: CgmOpCode.RATE_OF_DECREASE,
    CgmOpCode.GET_RATE_OF_INCREASE: CgmOpCode.RATE_OF_INCREASE,
}
_SET: Final = {
    CgmOpCode.SET_PATIENT_HIGH: CgmOpCode.PATIENT_HIGH,
    CgmOpCode.SET_PATIENT_LOW: CgmOpCode.PATIENT_LOW,
    CgmOpCode.SET_HYPO: CgmOpCode.HYPO,
    CgmOpCode.SET_HYPER: CgmOpCode.HYPER,
    CgmOpCode.SET_RATE_OF_DECREASE: CgmOpCode.RATE_OF_DECREASE,
    CgmOpCode.SET_RATE_OF_INCREASE: CgmOpCode.RATE_OF_INCREASE,
}


class CgmSession:
    """
    The state of a CGM session, and the control point that changes it.

    The sensor has no clock: it counts minutes from the start of the session, and knows the date
    of the start only after a collector has written it.

    Args:
        sensor: The sensor that has the session.

        now: Seconds since 1970.

        quirks: How the sensor departs from the specification.

        restarted: Called when a collector starts another session.
    """

    def __init__(
        self,
        sensor: Peripheral,
        now: Callable[[], float],
        *,
        quirks: Quirks,
        restarted: Callable[[], None],
    ) -> None:
        self.interval_min = 5
        self.annunciation = 0
        """Bits of `cgm.Annunciation`."""
        self.is_running = True
        self.start = _UNKNOWN_START
        """The start of the session, as a collector wrote it."""
        self.operations: list[Operation] = []
        """What collectors wrote to the control point."""
        self.started_at = now()
        """The true start of the session, in seconds since 1970."""
        self._sensor = sensor
        self._now = now
        self._quirks = quirks
        self._restarted = restarted
        self._levels: dict[CgmOpCode, int | Scaled] = dict.fromkeys(_LEVELS.values(), 0)

    def minute(self) -> int:
        """Return the minutes since the start of the session."""
        return min(int((self._now() - self.started_at) // _MINUTE_S), 0xFFFF)

    def begin(self, *, ago_s: float = 0.0) -> None:
        """Begin another session, of which no collector knows yet, *ago_s* seconds ago."""
        self.started_at = self._now() - ago_s
        self.start = _UNKNOWN_START
        self.is_running = True
        self.annunciation = 0

    def characteristics(self) -> tuple[Characteristic, ...]:
        """Return the characteristics of the session, to be served."""
        secret, quirks = self._sensor.is_secret, self._quirks
        bits = Feature.TREND | Feature.QUALITY | (Feature.E2E_CRC if quirks.e2e_crc else 0)
        feature = CgmFeature(
            bits, SampleType.INTERSTITIAL_FLUID, SampleLocation.SUBCUTANEOUS_TISSUE
        )
        run_time = SessionRunTime(_RUN_TIME_HOURS)
        return (
            Characteristic(
                number=_FEATURE,
                read=lambda: cgm_session.encode_feature(feature, quirks),
                is_secret=secret,
            ),
            Characteristic(number=_STATUS, read=self._status, is_secret=secret),
            Characteristic(
                number=_START,
                read=lambda: cgm_session.encode_start(self.start, quirks),
                write=self._on_start,
                is_secret=secret,
            ),
            Characteristic(
                number=_RUN_TIME,
                read=lambda: cgm_session.encode_run_time(run_time, quirks),
                is_secret=secret,
            ),
            Characteristic(
                number=CONTROL_POINT, write=self._on_control, indicates=True, is_secret=secret
            ),
        )

    def _status(self) -> bytes:
        return cgm_session.encode_status(CgmStatus(self.minute(), self.annunciation), self._quirks)

    def _on_start(self, _link: SensorLink, value: bytes) -> None:
        try:
            start = cgm_session.decode_start(value, self._quirks)
        except DecodeError as error:
            raise Refused(_code_of(error)) from None
        written = start.date_time.as_datetime()
        if written is None:
            raise Refused(_OUT_OF_RANGE)
        # A collector writes the present time; the sensor derives the start from its count of
        # minutes.
        began = written - datetime.timedelta(minutes=self.minute())
        self.start = SessionStart(to_date_time(began), start.zone)

    def _on_control(self, link: SensorLink, value: bytes) -> None:
        try:
            operation = cgm_control.decode(value, self._quirks)
        except ReservedValue:
            answer: Operation = CgmResponse(value[0], CgmResponseCode.OP_CODE_NOT_SUPPORTED)
        except DecodeError as error:
            if self._quirks.e2e_crc:
                raise Refused(_code_of(error)) from None
            answer = CgmResponse(value[0] if value else 0, CgmResponseCode.INVALID_OPERAND)
        else:
            self.operations.append(operation)
            answer = self._obey(operation)
        self._sensor.tell(link, CONTROL_POINT, cgm_control.encode(answer, self._quirks))

    def _obey(self, operation: Operation) -> Operation:
        match operation:
            case Interval(CgmOpCode.SET_INTERVAL, minutes):
                self.interval_min = minutes
            case AlertLevel(op_code, level) if op_code in _SET:
                if isinstance(level, NotANumber):
                    return CgmResponse(op_code, CgmResponseCode.OUT_OF_RANGE)
                self._levels[_SET[op_code]] = level
            case Calibration(op_code=CgmOpCode.SET_CALIBRATION):
                pass
            case CalibrationRequest():
                return CgmResponse(CgmOpCode.GET_CALIBRATION, CgmResponseCode.OUT_OF_RANGE)
            case Command(op_code):
                return self._command(op_code)
            case CgmResponse():
                return CgmResponse(CgmOpCode.RESPONSE, CgmResponseCode.OP_CODE_NOT_SUPPORTED)
            case _:
                return CgmResponse(operation.op_code, CgmResponseCode.OP_CODE_NOT_SUPPORTED)
        return CgmResponse(operation.op_code, CgmResponseCode.SUCCESS)

    def _command(self, op_code: CgmOpCode) -> Operation:
        if op_code is CgmOpCode.GET_INTERVAL:
            return Interval(CgmOpCode.INTERVAL, self.interval_min)
        if op_code in _LEVELS:
            answer = _LEVELS[op_code]
            return AlertLevel(answer, self._levels[answer])
        if op_code is CgmOpCode.STOP_SESSION:
            self.is_running = False
        if op_code is CgmOpCode.START_SESSION:
            if self.is_running:
                return CgmResponse(op_code, CgmResponseCode.NOT_COMPLETED)
            self.begin()
            self._restarted()
        return CgmResponse(op_code, CgmResponseCode.SUCCESS)


def _code_of(error: DecodeError) -> int:
    """Return the ATT error code for *error* in what a collector wrote."""
    if isinstance(error, BadCrc):
        return _INVALID_CRC
    return _MISSING_CRC if isinstance(error, Truncated) else _OUT_OF_RANGE

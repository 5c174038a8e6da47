"""The Record Access Control Point of a sensor with a memory."""

import asyncio
from typing import Final

from edge_agent.gatt import racp
from edge_agent.gatt.errors import DecodeError, ReservedValue
from edge_agent.gatt.racp import (
    Count,
    Operator,
    RacpOpCode,
    RacpResponse,
    RacpResponseCode,
    Request,
)
from simulators.sensor.device.attributes import (
    CCCD_IMPROPERLY_CONFIGURED,
    PROCEDURE_IN_PROGRESS,
    Characteristic,
    Refused,
)
from simulators.sensor.device.faults import FaultKind
from simulators.sensor.device.link import SensorLink
from simulators.sensor.device.memory import Memory, StoredRecord
from simulators.sensor.device.peripheral import Peripheral

CONTROL_POINT: Final = 0x2A52
_SUPPORTED: Final = frozenset(
    {RacpOpCode.REPORT, RacpOpCode.DELETE, RacpOpCode.ABORT, RacpOpCode.COUNT}
)


class RecordAccess:
    """
    Answers requests for the records of *memory*, one at a time for each link.

    Args:
        sensor: The owner of the control point.

        memory: The records.

        told_by: The characteristic that carries records. Without a subscription to it and to
            the control point, a request is refused, as the Glucose Service requires.
    """

    def __init__(self, sensor: Peripheral, memory: Memory, *, told_by: int) -> None:
        self.gap_s = 0.0
        """How long the sensor waits before each record, in seconds."""
        self.requests: list[bytes] = []
        """What was written to the control point, byte for byte."""
        self._sensor = sensor
        self._memory = memory
        self._told_by = told_by

    def characteristic(self) -> Characteristic:
        """Return the control point, to be served."""
        return Characteristic(
            number=CONTROL_POINT,
            write=self._on_write,
            indicates=True,
            is_secret=self._sensor.is_secret,
        )

    def _on_write(self, link: SensorLink, value: bytes) -> None:
        self.requests.append(value)
        self._sensor.books.requests += 1
        place = self._sensor.books.requests
        faults = self._sensor.faults
        if not (link.subscribed(CONTROL_POINT) and link.subscribed(self._told_by)):
            raise Refused(CCCD_IMPROPERLY_CONFIGURED)
        is_abort = value[:1] == bytes((RacpOpCode.ABORT,))
        if (link.is_busy and not is_abort) or faults.strikes(FaultKind.BUSY, place):
            raise Refused(PROCEDURE_IN_PROGRESS)
        if is_abort and link.procedure is not None:
            link.procedure.cancel()
        link.procedure = self._sensor.spawn(self._answer(link, value, place), "records")
        link.bind(link.procedure)

    async def _answer(self, link: SensorLink, value: bytes, place: int) -> None:
        faults = self._sensor.faults
        if faults.strikes(FaultKind.UNANSWERED, place):
            await asyncio.Event().wait()
        if faults.strikes(FaultKind.SERVER_BUSY, place):
            await self._respond(link, value[0], RacpResponseCode.BUSY)
            return
        try:
            request = racp.decode_request(value)
        except DecodeError as error:
            await self._respond(link, value[0] if value else 0, _complaint(value, error))
            return
        if request.op_code not in _SUPPORTED:
            await self._respond(link, request.op_code, RacpResponseCode.OP_CODE_NOT_SUPPORTED)
        elif request.op_code is RacpOpCode.ABORT:
            await self._respond(link, RacpOpCode.ABORT, RacpResponseCode.SUCCESS)
        else:
            await self._serve(link, request, place)

    async def _serve(self, link: SensorLink, request: Request, place: int) -> None:
        records = self._memory.select(request)
        if isinstance(records, RacpResponseCode):
            await self._respond(link, request.op_code, records)
        elif request.op_code is RacpOpCode.COUNT:
            count = Count(RacpOpCode.COUNT_RESPONSE, len(records))
            await link.indicate(CONTROL_POINT, racp.encode_response(count))
        elif not records:
            await self._respond(link, request.op_code, RacpResponseCode.NO_RECORDS)
        elif request.op_code is RacpOpCode.DELETE:
            self._memory.forget(records)
            await self._respond(link, RacpOpCode.DELETE, RacpResponseCode.SUCCESS)
        else:
            await self._report(link, records, place)

    async def _report(self, link: SensorLink, records: list[StoredRecord], place: int) -> None:
        faults = self._sensor.faults
        is_cut_short = faults.strikes(FaultKind.UNCOMPLETED, place)
        while faults.strikes(FaultKind.ENDLESS, place):
            await self._send(link, records)
        await self._send(link, records[: len(records) // 2] if is_cut_short else records)
        code = RacpResponseCode.NOT_COMPLETED if is_cut_short else RacpResponseCode.SUCCESS
        await self._respond(link, RacpOpCode.REPORT, code)

    async def _send(self, link: SensorLink, records: list[StoredRecord]) -> None:
        for record in records:
            await self._sensor.pace(self.gap_s)
            for number, value in record.values:
                await link.send(number, value)

    async def _respond(self, link: SensorLink, request: int, code: RacpResponseCode) -> None:
        await link.indicate(CONTROL_POINT, racp.encode_response(RacpResponse(request, code)))


def _complaint(value: bytes, error: DecodeError) -> RacpResponseCode:
    """Return the response to *value*, which is not a valid request because of *error*."""
    if not isinstance(error, ReservedValue):
        return RacpResponseCode.INVALID_OPERAND
    if error.field == "operator":
        known = value[1] <= Operator.LAST
        return (
            RacpResponseCode.INVALID_OPERATOR if known else RacpResponseCode.OPERATOR_NOT_SUPPORTED
        )
    if error.field == "filter type":
        return RacpResponseCode.OPERAND_NOT_SUPPORTED
    if error.field == "op code of a request":
        return RacpResponseCode.OP_CODE_NOT_SUPPORTED
    return RacpResponseCode.INVALID_OPERAND

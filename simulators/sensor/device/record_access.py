"""The Record Access Control Point of a sensor with a memory."""

import asyncio
from typing import Final

from edge_agent.gatt import racp
from edge_agent.gatt.errors import DecodeError, ReservedValue
from edge_agent.gatt.racp import Count, OpCode, Operator, Request, Response, ResponseCode
from simulators.sensor.device.attributes import (
    CCCD_IMPROPERLY_CONFIGURED,
    PROCEDURE_IN_PROGRESS,
    Characteristic,
    Refused,
)
from simulators.sensor.device.faults import Kind
from simulators.sensor.device.link import Link
from simulators.sensor.device.memory import Memory, Record
from simulators.sensor.device.peripheral import Peripheral

CONTROL_POINT: Final = 0x2A52
_SUPPORTED: Final = frozenset({OpCode.REPORT, OpCode.DELETE, OpCode.ABORT, OpCode.COUNT})


class RecordAccess:
    """
    Answers requests for the records of *memory*, one at a time for each link.

    Args:
        sensor: Whose control point it is.

        memory: What is asked for.

        told_by: The characteristic that carries records; without a subscription to it, and to
            the control point itself, a request is refused, as the Glucose Service asks.
    """

    def __init__(self, sensor: Peripheral, memory: Memory, *, told_by: int) -> None:
        self.gap_s = 0.0
        """How long the sensor takes before each record."""
        self.requests: list[bytes] = []
        """What was written to the control point, as it was."""
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

    def _on_write(self, link: Link, value: bytes) -> None:
        self.requests.append(value)
        self._sensor.books.requests += 1
        place = self._sensor.books.requests
        faults = self._sensor.faults
        if not (link.subscribed(CONTROL_POINT) and link.subscribed(self._told_by)):
            raise Refused(CCCD_IMPROPERLY_CONFIGURED)
        is_abort = value[:1] == bytes((OpCode.ABORT,))
        if (link.is_busy and not is_abort) or faults.strikes(Kind.BUSY, place):
            raise Refused(PROCEDURE_IN_PROGRESS)
        if is_abort and link.procedure is not None:
            link.procedure.cancel()
        link.procedure = self._sensor.spawn(self._answer(link, value, place), "records")
        link.bind(link.procedure)

    async def _answer(self, link: Link, value: bytes, place: int) -> None:
        faults = self._sensor.faults
        if faults.strikes(Kind.UNANSWERED, place):
            await asyncio.Event().wait()
        if faults.strikes(Kind.SERVER_BUSY, place):
            await self._respond(link, value[0], ResponseCode.BUSY)
            return
        try:
            request = racp.decode_request(value)
        except DecodeError as error:
            await self._respond(link, value[0] if value else 0, _complaint(value, error))
            return
        if request.op_code not in _SUPPORTED:
            await self._respond(link, request.op_code, ResponseCode.OP_CODE_NOT_SUPPORTED)
        elif request.op_code is OpCode.ABORT:
            await self._respond(link, OpCode.ABORT, ResponseCode.SUCCESS)
        else:
            await self._serve(link, request, place)

    async def _serve(self, link: Link, request: Request, place: int) -> None:
        records = self._memory.select(request)
        if isinstance(records, ResponseCode):
            await self._respond(link, request.op_code, records)
        elif request.op_code is OpCode.COUNT:
            count = Count(OpCode.COUNT_RESPONSE, len(records))
            await link.indicate(CONTROL_POINT, racp.encode_response(count))
        elif not records:
            await self._respond(link, request.op_code, ResponseCode.NO_RECORDS)
        elif request.op_code is OpCode.DELETE:
            self._memory.forget(records)
            await self._respond(link, OpCode.DELETE, ResponseCode.SUCCESS)
        else:
            await self._report(link, records, place)

    async def _report(self, link: Link, records: list[Record], place: int) -> None:
        faults = self._sensor.faults
        is_cut_short = faults.strikes(Kind.UNCOMPLETED, place)
        while faults.strikes(Kind.ENDLESS, place):
            await self._send(link, records)
        await self._send(link, records[: len(records) // 2] if is_cut_short else records)
        code = ResponseCode.NOT_COMPLETED if is_cut_short else ResponseCode.SUCCESS
        await self._respond(link, OpCode.REPORT, code)

    async def _send(self, link: Link, records: list[Record]) -> None:
        for record in records:
            await self._sensor.pace(self.gap_s)
            for number, value in record.values:
                await link.send(number, value)

    async def _respond(self, link: Link, request: int, code: ResponseCode) -> None:
        await link.indicate(CONTROL_POINT, racp.encode_response(Response(request, code)))


def _complaint(value: bytes, error: DecodeError) -> ResponseCode:
    """Return what a sensor says of *value*, which is no request because of *error*."""
    if not isinstance(error, ReservedValue):
        return ResponseCode.INVALID_OPERAND
    if error.field == "operator":
        known = value[1] <= Operator.LAST
        return ResponseCode.INVALID_OPERATOR if known else ResponseCode.OPERATOR_NOT_SUPPORTED
    if error.field == "filter type":
        return ResponseCode.OPERAND_NOT_SUPPORTED
    if error.field == "op code of a request":
        return ResponseCode.OP_CODE_NOT_SUPPORTED
    return ResponseCode.INVALID_OPERAND

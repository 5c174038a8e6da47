"""
Requests the stored records of a sensor on its Record Access Control Point, one at a time.

Records are never deleted: another collector may need them, and the owner may look at them.

A sensor's answer that a report is complete is not sufficient: notifications can be lost on the
way, and it may answer an earlier process whose connection was inherited. So the records are
counted first, and missing ones are requested again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from edge_agent.bluetooth.errors import CallTimedOut, Endless, SensorRefused
from edge_agent.bluetooth.radio.client import Link
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.bluetooth.records.record_assembler import RecordAssembler
from edge_agent.gatt import racp
from edge_agent.gatt.errors import DecodeError
from edge_agent.gatt.racp import (
    Count,
    Operator,
    RacpOpCode,
    RacpResponse,
    RacpResponseCode,
    Request,
)
from edge_agent.ports import Clock

CONTROL_POINT: Final = 0x2A52
LONGEST_S: Final = 900.0
MAX_VALUES: Final = 200_000
"""A sequence has 16 bits; the rest is for contexts and for repeated records."""
# An ATT error code. Glucose Service 1.0.1, section 1.5: Procedure Already in Progress.
_IN_PROGRESS: Final = 0xFE
_BUSY_TRIES: Final = 4
_REPORTS: Final = 3
"""How often the same request is repeated, as long as each time brings new records."""
_CALM_S: Final = 1.0

EVERYTHING: Final = Request(RacpOpCode.REPORT, Operator.ALL)
_UNSUPPORTED: Final = frozenset(
    {
        RacpResponseCode.OP_CODE_NOT_SUPPORTED,
        RacpResponseCode.INVALID_OPERATOR,
        RacpResponseCode.OPERATOR_NOT_SUPPORTED,
        RacpResponseCode.INVALID_OPERAND,
        RacpResponseCode.OPERAND_NOT_SUPPORTED,
    }
)


class RequestTiming(msgspec.Struct, frozen=True):
    """How long to wait for a sensor after a request for records, in seconds."""

    idle_s: float = 30.0
    """Glucose Profile 1.0.1, section 5.5.1: the longest time without an answer."""
    busy_s: float = 1.0
    """The first pause before a busy sensor is asked again; each later pause is twice as long."""


class ControlPoint:
    """
    The requests to one sensor for its records, and its answers.

    Args:
        link: The connection to the sensor.

        service: The 16-bit number of the service that holds the records.

        clock: The clock for time-outs.

        pace: How long to wait for the sensor.

        metrics: The metrics of the radio.
    """

    def __init__(
        self, link: Link, service: int, clock: Clock, pace: RequestTiming, metrics: RadioMetrics
    ) -> None:
        self._link = link
        self._service = service
        self._clock = clock
        self._pace = pace
        self._metrics = metrics
        self._answers: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
        self._stir = asyncio.Event()
        self._values = 0

    async def open(self) -> None:
        """Subscribe to answers. On return, no answer to an earlier process is under way."""
        await self._link.subscribe(self._service, CONTROL_POINT, self._on_answer)
        if self._link.is_inherited:
            await self._calm()

    async def _calm(self) -> None:
        """Abort a request of an earlier process, which lasts as long as the connection."""
        await self.abort()
        deadline = self._clock.now() + self._pace.idle_s
        while self._clock.now() < deadline:
            while not self._answers.empty():
                answer = _decode(self._answers.get_nowait())
                if answer is not None and _is_to(answer, RacpOpCode.ABORT):
                    return  # GLS 1.0.1, section 3.5.1.3: no record of the report follows.
            with contextlib.suppress(CallTimedOut):
                await self._until_stirred(_CALM_S)
                continue
            return  # The sensor has been silent: no report is under way.

    def stirred(self) -> None:
        """Note that a record has come."""
        self._values += 1
        self._stir.set()

    def _on_answer(self, value: bytes) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # More answers than requests.
            self._answers.put_nowait(value)
        self._stir.set()

    async def fetch(
        self,
        request: Request,
        report: RecordAssembler[Any, Any],
        drain: Callable[[], Awaitable[None]],
        *,
        newest: int | None = None,
    ) -> None:
        """
        Request records until as many have come as the sensor has counted.

        Args:
            request: The records to request.

            report: The report that assembles the records.

            drain: Called repeatedly while records come, to pass them on.

            newest: The sequence of the newest record, if sequences have no gaps.

        Raises:
            SensorRefused, Endless, BluetoothError: For the same reasons as `report`.
        """
        # The count first: some sensors disconnect as soon as they have sent their records.
        counted = await self.count(request)
        if counted is not None and newest is not None:
            report.begins_after(newest - counted)
        await self.gather(request, report, drain, counted)
        report.complete()
        await drain()

    async def gather(
        self,
        request: Request,
        report: RecordAssembler[Any, Any],
        drain: Callable[[], Awaitable[None]],
        counted: int | None,
    ) -> bool:
        """
        Request records until *counted* records have come; tell whether all have.

        Args:
            request: The records to request.

            report: The report that assembles the records.

            drain: Called repeatedly while records come, to pass them on.

            counted: How many records the sensor has counted; None if it cannot count, and then
                one request is considered sufficient.

        Raises:
            SensorRefused, Endless, BluetoothError: For the same reasons as `report`.
        """
        for _ in range(_REPORTS):
            before = report.received
            await self.report(request, drain)
            if counted is None or report.received >= counted:
                return True
            self._metrics.short_reports.inc()
            if report.received == before:
                break  # A record that is missing in a repeated report does not exist.
            report.again()
        return False

    async def count(self, request: Request) -> int | None:
        """
        Return how many records *request* selects; None if the sensor does not count.

        Raises:
            BluetoothError: The call failed.
        """
        asked = msgspec.structs.replace(request, op_code=RacpOpCode.COUNT)
        try:
            answer = await self._ask_until_heard(asked, _nothing)
        except SensorRefused as exc:
            if not is_unsupported(exc):
                raise
            return None
        except CallTimedOut:
            return None  # Some sensors do not answer a request that they do not know.
        return answer.count if isinstance(answer, Count) else 0

    async def report(self, request: Request, drain: Callable[[], Awaitable[None]]) -> None:
        """
        Request records. They come as notifications; the receiver calls `stirred` for each.

        Args:
            request: The records to request.

            drain: Called repeatedly while records come, to pass them on.

        Raises:
            SensorRefused: The sensor refuses the request; `code` is its response code.
            Endless: The sensor sends more records than its memory can hold.
            BluetoothError: The call failed.
        """
        await self._ask_until_heard(request, drain)

    async def _ask_until_heard(
        self, request: Request, drain: Callable[[], Awaitable[None]]
    ) -> Count | RacpResponse:
        """Repeat a request while the sensor is busy; return its answer."""
        for attempt in range(1, _BUSY_TRIES + 1):
            try:
                answer = await self._ask(request, drain)
            except SensorRefused as exc:
                if exc.code != _IN_PROGRESS or attempt == _BUSY_TRIES:
                    raise
            else:
                if isinstance(answer, Count) or answer.code != RacpResponseCode.BUSY:
                    _check(answer)
                    return answer
            # Another request is under way, perhaps one of this agent from before a crash.
            await asyncio.sleep(self._pace.busy_s * 2 ** (attempt - 1))
        raise SensorRefused("a request for records", code=RacpResponseCode.BUSY)

    async def _ask(
        self, request: Request, drain: Callable[[], Awaitable[None]]
    ) -> Count | RacpResponse:
        while not self._answers.empty():
            self._answers.get_nowait()  # An answer to a request that was abandoned.
        self._values = 0
        await self._link.write(self._service, CONTROL_POINT, racp.encode_request(request))
        deadline = self._clock.now() + LONGEST_S
        while True:
            await drain()
            if not self._answers.empty():
                answer = _decode(self._answers.get_nowait())
                if answer is not None and _is_to(answer, request.op_code):
                    return answer
                continue
            if self._values > MAX_VALUES or self._clock.now() > deadline:
                await self.abort()
                raise Endless
            await self._until_stirred(self._pace.idle_s)

    async def _until_stirred(self, within_s: float) -> None:
        self._stir.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._stir.wait()
        except TimeoutError:
            raise CallTimedOut("a request for records") from None

    async def abort(self) -> None:
        """Ask the sensor to stop, without waiting for its answer."""
        request = Request(RacpOpCode.ABORT)
        with contextlib.suppress(SensorRefused):
            await self._link.write(self._service, CONTROL_POINT, racp.encode_request(request))


def is_unsupported(error: SensorRefused) -> bool:
    """Tell whether the sensor does not support the request, as opposed to refusing it now."""
    return error.code in _UNSUPPORTED


def _decode(value: bytes) -> Count | RacpResponse | None:
    try:
        return racp.decode_response(value)
    except DecodeError:
        return None


def _is_to(answer: Count | RacpResponse, op_code: RacpOpCode) -> bool:
    if isinstance(answer, Count):
        return op_code is RacpOpCode.COUNT and answer.op_code is RacpOpCode.COUNT_RESPONSE
    return answer.request == op_code


async def _nothing() -> None:
    """Pass on nothing: records that come while the sensor counts wait for their own request."""


def _check(answer: Count | RacpResponse) -> None:
    if isinstance(answer, Count):
        return
    if answer.code not in (RacpResponseCode.SUCCESS, RacpResponseCode.NO_RECORDS):
        raise SensorRefused("a request for records", code=answer.code)

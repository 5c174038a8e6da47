"""
Asking a sensor for its stored records: one request at a time on the record access control point.

Nothing is ever deleted: another collector may want it, and a person may look at it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from edge_agent.bluetooth.client import Link
from edge_agent.bluetooth.errors import CallTimedOut, Endless, SensorRefused
from edge_agent.gatt import racp
from edge_agent.gatt.errors import DecodeError
from edge_agent.gatt.racp import Count, OpCode, Operator, Request, Response, ResponseCode
from edge_agent.ports import Clock

CONTROL_POINT: Final = 0x2A52
LONGEST_S: Final = 900.0
MAX_VALUES: Final = 200_000
"""A sequence has 16 bits; records and their contexts, and some to spare for repeated ones."""
# ATT: Glucose Service 1.0.1, section 1.5 calls it Procedure Already in Progress.
_IN_PROGRESS: Final = 0xFE
_BUSY_TRIES: Final = 4

EVERYTHING: Final = Request(OpCode.REPORT, Operator.ALL)
_UNSUPPORTED: Final = frozenset(
    {
        ResponseCode.OP_CODE_NOT_SUPPORTED,
        ResponseCode.INVALID_OPERATOR,
        ResponseCode.OPERATOR_NOT_SUPPORTED,
        ResponseCode.INVALID_OPERAND,
        ResponseCode.OPERAND_NOT_SUPPORTED,
    }
)


class Pace(msgspec.Struct, frozen=True):
    """How patient to be with a sensor that was asked for records."""

    idle_s: float = 30.0
    """Glucose Profile 1.0.1, section 5.5.1: so long a request may be without an answer."""
    busy_s: float = 1.0
    """How long to leave a busy one alone at first."""


class ControlPoint:
    """
    The dialogue with one sensor about its records.

    Args:
        link: To the sensor.

        service: Whose records.

        clock: The clock.

        pace: How patient to be.
    """

    def __init__(
        self,
        link: Link,
        service: int,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._link = link
        self._service = service
        self._clock = clock
        self._pace = pace
        self._answers: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
        self._stir = asyncio.Event()
        self._values = 0

    async def open(self) -> None:
        """Be told of answers."""
        await self._link.subscribe(self._service, CONTROL_POINT, self._on_answer)

    def stirred(self) -> None:
        """Note that a record came."""
        self._values += 1
        self._stir.set()

    def _on_answer(self, value: bytes) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # Nobody asked for so many.
            self._answers.put_nowait(value)
        self._stir.set()

    async def report(self, request: Request, drain: Callable[[], Awaitable[None]]) -> None:
        """
        Ask for records; they come by themselves, `stirred` is called for each.

        Args:
            request: Which.

            drain: Called again and again while they come.

        Raises:
            SensorRefused: The sensor does not do it; `code` says why.
            Endless: It does not stop.
            BluetoothError: The call failed.
        """
        for attempt in range(1, _BUSY_TRIES + 1):
            try:
                response = await self._ask(request, drain)
            except SensorRefused as exc:
                if exc.code != _IN_PROGRESS or attempt == _BUSY_TRIES:
                    raise
            else:
                if response.code != ResponseCode.BUSY:
                    _check(response)
                    return
            # Somebody's request is under way; perhaps ours, from before a crash.
            await asyncio.sleep(self._pace.busy_s * 2 ** (attempt - 1))
        raise SensorRefused("a request for records", code=ResponseCode.BUSY)

    async def _ask(self, request: Request, drain: Callable[[], Awaitable[None]]) -> Response:
        while not self._answers.empty():
            self._answers.get_nowait()  # To a request that we gave up.
        self._values = 0
        await self._link.write(self._service, CONTROL_POINT, racp.encode_request(request))
        deadline = self._clock.now() + LONGEST_S
        while True:
            await drain()
            if not self._answers.empty():
                answer = _decode(self._answers.get_nowait())
                if isinstance(answer, Response) and answer.request == request.op_code:
                    return answer
                continue
            if self._values > MAX_VALUES or self._clock.now() > deadline:
                await self.abort()
                raise Endless
            await self._until_stirred()

    async def _until_stirred(self) -> None:
        self._stir.clear()
        try:
            async with asyncio.timeout(self._pace.idle_s):
                await self._stir.wait()
        except TimeoutError:
            raise CallTimedOut("a request for records") from None

    async def abort(self) -> None:
        """Ask the sensor to stop; what it says to that is not waited for."""
        request = Request(OpCode.ABORT)
        with contextlib.suppress(SensorRefused):
            await self._link.write(self._service, CONTROL_POINT, racp.encode_request(request))


def is_unsupported(error: SensorRefused) -> bool:
    """Tell whether the sensor cannot do what was asked, rather than does not want to now."""
    return error.code in _UNSUPPORTED


def _decode(value: bytes) -> Count | Response | None:
    try:
        return racp.decode_response(value)
    except DecodeError:
        return None


def _check(response: Response) -> None:
    if response.code not in (ResponseCode.SUCCESS, ResponseCode.NO_RECORDS):
        raise SensorRefused("a request for records", code=response.code)

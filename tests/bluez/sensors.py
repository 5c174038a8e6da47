"""Sensors for the simulated org.bluez: a strap and a meter, simpler than the virtual ones."""

import asyncio
import struct

from edge_agent.gatt import date_time, glucose, racp
from edge_agent.gatt.date_time import CurrentTime, DateTime
from edge_agent.gatt.glucose import Concentration, GlucoseMeasurement, GlucoseUnit
from edge_agent.gatt.ieee11073 import scaled
from edge_agent.gatt.racp import Count, Operator, RacpOpCode, RacpResponse, RacpResponseCode
from tests.bluez.objects import Characteristic, FakeSensor, Refused

STRAP = "C0:FF:EE:00:00:01"
METER = "C0:FF:EE:00:00:02"
PROCEDURE_IN_PROGRESS = 0xFE


class Strap(FakeSensor):
    """
    A heart rate strap that sends 60, 61 and so on to 179, and then repeats.

    Args:
        address: The address of the strap.

        period_s: The seconds between two values.
    """

    def __init__(self, address: str = STRAP, *, period_s: float = 0.02) -> None:
        self.heart_rate = Characteristic(0x2A37, "notify")
        battery = Characteristic(0x2A19, "read", "notify", value=b"\x57")
        super().__init__(address, [(0x180D, [self.heart_rate]), (0x180F, [battery])], name="Strap")
        self.period_s = period_s
        self.is_silent = False
        self.task: asyncio.Task[None] | None = None

    def wear(self) -> None:
        """Start to measure."""
        self.task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        n = 0
        while True:
            await asyncio.sleep(self.period_s)
            if not self.is_silent and self.is_connected:
                sent = self.sent
                await self.notify(self.heart_rate, bytes((0x06, 60 + n % 120)))
                # A sensor sends nothing to a host that has not subscribed yet.
                n += self.sent > sent


class Single(FakeSensor):
    """
    A sensor for single measurements: a cuff, a thermometer, a scale.

    Args:
        address: The address of the sensor.

        service: The service that it serves.

        number: The characteristic that it indicates.
    """

    def __init__(self, address: str, service: int, number: int) -> None:
        self.measurement = Characteristic(number, "indicate")
        super().__init__(address, [(service, [self.measurement])], name="Single")

    @property
    def is_heard(self) -> bool:
        """Whether a client has subscribed."""
        return self.measurement.pipe is not None or bool(self.measurement.owners)

    async def tell(self, value: bytes) -> None:
        """Indicate *value*, without storing it."""
        assert self.is_heard
        await self.notify(self.measurement, value)


class Meter(FakeSensor):
    """
    A glucose meter with *count* records of 90 mg/dL and more, and a clock that is right.

    Args:
        count: The number of records.

        supports: The operators that it supports.
    """

    def __init__(self, count: int, *, supports: frozenset[Operator] = frozenset(Operator)) -> None:
        self.measurement = Characteristic(0x2A18, "notify")
        self.point = Characteristic(0x2A52, "write", "indicate", on_write=self._on_write)
        clock = CurrentTime(DateTime(2026, 11, 21, 12, 0, 0), 0, 0, 0)
        time = Characteristic(0x2A2B, "read", value=date_time.encode_current_time(clock))
        super().__init__(
            METER,
            [(0x1808, [self.measurement, self.point]), (0x1805, [time])],
            name="Meter",
        )
        self.supports = supports
        self.records: dict[int, bytes] = {}
        self.requests: list[bytes] = []
        self.drop_after: int | None = None
        self.leaves = False
        """Whether it disconnects as soon as it has sent the requested records."""
        self.gap_s = 0.0
        for sequence in range(1, count + 1):
            self.store(sequence)
        self.loses: set[int] = set()
        """The records that are lost on their way, once each."""
        self.interleaves = False
        """
        Whether it answers one request in the middle of another and continues after an abort, which
        is not allowed.
        """
        self._tasks: set[asyncio.Task[None]] = set()

    def store(self, sequence: int, *, day: int = 1) -> None:
        """Store a record."""
        self.records[sequence] = glucose.encode(self.measured(sequence, day=day))

    def measured(self, sequence: int, *, day: int = 1) -> GlucoseMeasurement:
        """Return the measurements that it stores."""
        minute, hour = sequence % 60, sequence // 60 % 24
        return GlucoseMeasurement(
            sequence=sequence,
            base_time=DateTime(2026, 11, day, hour, minute, 0),
            concentration=Concentration(scaled(90 + sequence, -5), GlucoseUnit.KG_PER_L, 1, 1),
        )

    def forget(self) -> None:
        """Be unknown again; a procedure ends with its link."""
        super().forget()
        self._stop()

    def lost(self) -> None:
        self._stop()

    def _stop(self) -> None:
        for task in [task for task in self._tasks if task is not asyncio.current_task()]:
            task.cancel()

    def _on_write(self, value: bytes) -> None:
        self.requests.append(value)
        if not self.interleaves:
            if value[0] == RacpOpCode.ABORT:
                self._stop()
            elif self._tasks:
                raise Refused(PROCEDURE_IN_PROGRESS)
        self.ask(value)

    def ask(self, value: bytes) -> None:
        """Start to answer the request *value*, whichever client wrote it."""
        task = asyncio.create_task(self._answer(value))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, value: bytes) -> None:
        operator = Operator(value[1])
        if value[0] not in (RacpOpCode.REPORT, RacpOpCode.COUNT):
            await self._respond(value[0], RacpResponseCode.SUCCESS)
        elif operator not in self.supports:
            await self._respond(value[0], RacpResponseCode.OPERATOR_NOT_SUPPORTED)
        elif value[0] == RacpOpCode.COUNT:
            count = Count(RacpOpCode.COUNT_RESPONSE, len(self._chosen(operator, value)))
            await self.notify(self.point, racp.encode_response(count))
        else:
            await self._report(operator, self._chosen(operator, value))

    def _chosen(self, operator: Operator, value: bytes) -> list[int]:
        chosen = sorted(self.records)
        if operator is Operator.LAST:
            return chosen[-1:]
        if operator is Operator.FROM:
            (first,) = struct.unpack_from("<H", value, 3)
            return [sequence for sequence in chosen if sequence >= first]
        return chosen

    async def _report(self, operator: Operator, chosen: list[int]) -> None:
        for n, sequence in enumerate(chosen):
            if operator is not Operator.LAST and n == self.drop_after:
                self.drop_after = None
                await self.drop()
                return
            if operator is not Operator.LAST and sequence in self.loses:
                self.loses.remove(sequence)
                continue
            await self.notify(self.measurement, self.records[sequence])
            await asyncio.sleep(self.gap_s)
        code = RacpResponseCode.SUCCESS if chosen else RacpResponseCode.NO_RECORDS
        await self._respond(RacpOpCode.REPORT, code)
        if self.leaves and operator is not Operator.LAST:
            await self.drop()

    async def _respond(self, request: int, code: RacpResponseCode) -> None:
        await self.notify(self.point, racp.encode_response(RacpResponse(request, code)))

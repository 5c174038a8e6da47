"""A tuned peer: gmqtt, and copy_records_to_table of asyncpg, on uvloop."""

import asyncio
import ssl
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import gmqtt
import msgspec
import uvloop

_BATCH = 1000
"""Messages in a transaction: a full window of the broker."""
_MAX_AGE_S = 0.1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("time", "series_id", "value", "flags")

Row = tuple[datetime, int, float, int]


class _Content(msgspec.Struct):
    series: int
    start_ms: int
    step_ms: int
    values: list[float]


_decoder = msgspec.json.Decoder(_Content)


def _rows(payload: bytes) -> list[Row]:
    content = _decoder.decode(payload)
    start = _EPOCH + timedelta(milliseconds=content.start_ms)
    step = timedelta(milliseconds=content.step_ms)
    return [(start + i * step, content.series, v, 0) for i, v in enumerate(content.values)]


class _Batches:
    """Collects rows. Each caller waits for the COMMIT before it acknowledges."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._rows: list[Row] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._is_due = asyncio.Event()
        self.stored = 0

    async def add(self, payload: bytes) -> None:
        """Add the rows of *payload*; return when they are committed."""
        self._rows.extend(_rows(payload))
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if len(self._waiting) >= _BATCH // 2:
            self._is_due.set()
        await done

    async def run(self, count: int) -> None:
        """Write batches until *count* messages are stored."""
        while self.stored < count:
            try:
                async with asyncio.timeout(_MAX_AGE_S):
                    await self._is_due.wait()
            except TimeoutError:
                if not self._waiting:
                    continue
            self._is_due.clear()
            rows, self._rows = self._rows, []
            waiting, self._waiting = self._waiting, []
            await self._connection.copy_records_to_table(
                "observations", schema_name="vv", columns=_COLUMNS, records=rows
            )
            for done in waiting:
                done.set_result(None)
            self.stored += len(waiting)


async def _run(port: int, pki: str, count: int, dsn: str) -> None:
    parts = dict(part.split("=", 1) for part in dsn.split())
    connection = await asyncpg.connect(
        host=parts["host"],
        port=int(parts["port"]),
        user=parts["user"],
        password=parts["password"],
        database=parts["dbname"],
    )
    batches = _Batches(connection)
    client = gmqtt.Client(
        "gmqtt",
        clean_session=False,
        optimistic_acknowledgement=False,
        session_expiry_interval=3600,
        receive_maximum=1000,
    )

    async def take(
        client: gmqtt.Client, topic: str, payload: bytes, qos: int, properties: object
    ) -> int:
        await batches.add(payload)
        return 0

    client.on_message = take
    context = ssl.create_default_context(cafile=f"{pki}/ca.crt")
    context.load_cert_chain(f"{pki}/gmqtt.crt", f"{pki}/gmqtt.key")
    writing = asyncio.create_task(batches.run(count))
    await client.connect("127.0.0.1", port, ssl=context)
    await writing
    # The acknowledgements of the last batch are sent from callbacks.
    await asyncio.sleep(0.05)
    await client.disconnect()
    await connection.close()


def main(argv: Sequence[str]) -> int:
    """Store COUNT messages from the broker at PORT, with the certificates in PKI."""
    port, pki, count = int(argv[0]), argv[1], int(argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(port, pki, count, sys.stdin.read()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

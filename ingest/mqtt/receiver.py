"""The receiver: one persistent MQTT session over any number of connections."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ingest.errors import ConnectionLost
from ingest.mqtt.connection import Connection
from ingest.mqtt.outbox import Outbox
from ingest.mqtt.session import SessionSettings
from ingest.values.delivery import Delivery
from runtime.backoff import Backoff
from runtime.logs import Log, describe
from runtime.settings import BrokerSettings
from runtime.tls_identity import TlsIdentity

_CONNECT_TIMEOUT_S = 15.0
_log = Log("ingest.mqtt.receiver")


class MqttReceiver:
    """
    Implements the port `Receiver`.

    Args:
        broker: Address and keep-alive of the broker.

        identity: The TLS certificate of ingest; a renewed one is used from the next connection.

        session: The MQTT session that the broker keeps.

        backoff: Delays before a reconnect.

        now_ms: The system clock, ms since 1970.

        on_change: Called each time `is_live` changes.

        on_refused: Called for each publication that the broker refused.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over every part once, by name
        self,
        *,
        broker: BrokerSettings,
        identity: TlsIdentity,
        session: SessionSettings,
        backoff: Backoff,
        now_ms: Callable[[], int],
        on_change: Callable[[bool], None],
        on_refused: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._identity = identity
        self._session = session
        self._backoff = backoff
        self._now_ms = now_ms
        self._on_change = on_change
        self._on_refused = on_refused
        self._outbox = Outbox()
        self._arrived: list[Delivery] = []
        self._has_arrived = asyncio.Event()
        self._connection: Connection | None = None
        self._is_stopping = False
        self._live_at: float | None = None
        self._refused_generation = 0
        self.generation = 0
        self.is_live = False

    async def run(self) -> None:
        """Connect and reconnect until `stop_receiving` is called or the task is cancelled."""
        try:
            while not self._is_stopping:
                self._live_at = None
                try:
                    await self._connect_once()
                except ConnectionLost as lost:
                    if not self._is_stopping:
                        _log.warning("broker_lost", why=str(lost), generation=self.generation)
                except (OSError, TimeoutError) as error:
                    _log.warning("broker_unreachable", error=describe(error, peer="the broker"))
                self._set_live(False)
                self._reset_backoff()
                if not self._is_stopping:
                    await asyncio.sleep(self._backoff.failed())
        finally:
            if self._connection is not None:
                self._connection.abort()
            self._set_live(False)

    async def _connect_once(self) -> None:
        """Hold one connection until it ends, and raise the reason, a `ConnectionLost`."""
        self.generation += 1
        loop = asyncio.get_running_loop()
        connection = Connection(
            generation=self.generation,
            session=self._session,
            keep_alive_s=self._broker.keep_alive_s,
            outbox=self._outbox,
            on_deliveries=self._take,
            on_refused=self._note_refused,
            now_ms=self._now_ms,
        )
        self._connection = connection
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await loop.create_connection(
                    lambda: connection,
                    self._broker.host,
                    self._broker.port,
                    ssl=self._identity.context(),
                    server_hostname=self._broker.host,
                )
                await _first_of(connection.subscribed, connection.ended)
            if not connection.ended.done():
                self._live_at = loop.time()
                self._set_live(True)
                _log.info(
                    "broker_connected",
                    generation=self.generation,
                    session_present=connection.subscribed.result(),
                )
            # Shielded: the cancellation of this task must not cancel the future of the connection.
            raise await asyncio.shield(connection.ended)
        finally:
            connection.abort()

    def _reset_backoff(self) -> None:
        """
        Reset the backoff after a connection that lasted.

        A connection that the broker ends at once counts as a failure, for instance if another
        client uses the same name. Without a delay, both sides would exchange a whole receive
        window many times a second.
        """
        now = asyncio.get_running_loop().time()
        if self._live_at is not None and now - self._live_at > self._backoff.longest_s:
            self._backoff.succeeded()

    def _note_refused(self, reason: str) -> None:
        if self.generation != self._refused_generation:
            # Logged once for each connection: mostly the broker refuses all receipts.
            self._refused_generation = self.generation
            _log.warning("receipt_refused", reason=reason)
        self._on_refused()

    def _take(self, deliveries: list[Delivery]) -> None:
        self._arrived.extend(deliveries)
        self._has_arrived.set()

    def _set_live(self, is_live: bool) -> None:
        if is_live != self.is_live:
            self.is_live = is_live
            self._on_change(is_live)

    async def receive(self) -> list[Delivery]:
        await self._has_arrived.wait()
        return self.take()

    def take(self) -> list[Delivery]:
        self._has_arrived.clear()
        arrived, self._arrived = self._arrived, []
        return arrived

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        if self._connection is not None:
            self._connection.settle(deliveries)

    def publish(self, topic: str, payload: bytes) -> None:
        self._outbox.put(topic, payload)
        if self._connection is not None and self.is_live:
            self._connection.send_waiting()

    def stop_receiving(self) -> None:
        if self._connection is not None:
            self._connection.stop_receiving()
        self._is_stopping = True

    async def drain(self, *, timeout_s: float) -> None:
        """Wait at most *timeout_s* until all publications are acknowledged; then disconnect."""
        connection = self._connection
        if connection is None:
            return
        if len(self._outbox) and self.is_live:
            connection.quiet.clear()
            quiet = asyncio.ensure_future(connection.quiet.wait())
            await _first_of(quiet, connection.ended, timeout_s=timeout_s)
            quiet.cancel()
        connection.close()
        await _first_of(connection.ended, timeout_s=1.0)


async def _first_of(*futures: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    """Wait until one of *futures* is done or *timeout_s* has passed; cancel none."""
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

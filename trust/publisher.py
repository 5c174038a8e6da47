"""Leases to the broker, retained: the door of aiomqtt."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import aiomqtt

from runtime.identity import Identity
from runtime.logs import describe
from runtime.settings import BrokerSettings
from trust.errors import BrokerUnavailable
from trust.ports import SealedLease
from wire import topics

_NAME: Final = "trust"
_TIMEOUT_S: Final = 10.0
_IN_FLIGHT: Final = 200


class _Client(aiomqtt.Client):
    """
    Notices when the broker acknowledges a message and yet refuses it.

    aiomqtt drops the reason code of a PUBACK, and a lease that the ACL keeps off its topic would
    count as published (MQTT 5, 3.4.2.1).
    """

    refused = 0

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any
    ) -> None:
        self.refused += bool(reason_code.is_failure)
        super()._on_publish(client, userdata, mid, reason_code, properties)


class MqttChannel:
    """A connection of aiomqtt."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    async def publish(self, leases: Sequence[SealedLease]) -> None:
        refused = self._client.refused
        try:
            for first in range(0, len(leases), _IN_FLIGHT):
                await asyncio.gather(
                    *(self._publish_one(lease) for lease in leases[first : first + _IN_FLIGHT])
                )
        except aiomqtt.MqttError as exc:
            raise BrokerUnavailable(describe(exc)) from None
        if self._client.refused > refused:
            raise BrokerUnavailable("its ACL keeps `trust` off vv1/lease/+")

    async def _publish_one(self, lease: SealedLease) -> None:
        await self._client.publish(topics.lease(lease.agent), lease.sealed, qos=1, retain=True)

    async def closed(self) -> None:
        # Nothing is subscribed to: the iterator ends only when the connection is lost.
        with contextlib.suppress(aiomqtt.MqttError):
            async for _ in self._client.messages:
                pass


class MqttBroker:
    """
    The broker, as the user `trust`.

    Args:
        settings: Where it is.

    Raises:
        ConfigError: A file of TLS is not what it should be.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._identity = Identity(settings.tls)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[MqttChannel]:
        """Connect while the context is open; raise BrokerUnavailable if that fails."""
        client = _Client(
            self._settings.host,
            self._settings.port,
            identifier=_NAME,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=self._identity.context(),
            keepalive=self._settings.keep_alive_s,
            timeout=_TIMEOUT_S,
            clean_start=True,
            max_inflight_messages=_IN_FLIGHT,
            max_concurrent_outgoing_calls=_IN_FLIGHT,
        )
        try:
            await client.__aenter__()
        except (aiomqtt.MqttError, OSError) as exc:
            raise BrokerUnavailable(describe(exc)) from None
        try:
            yield MqttChannel(client)
        finally:
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

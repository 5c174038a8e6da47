"""Publishes retained leases and receives states, and the only module that imports aiomqtt."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from runtime.logs import Log, describe
from runtime.settings import BrokerSettings
from runtime.tls_identity import TlsIdentity
from trust.domain.units import Cause
from trust.errors import BrokerUnavailable
from trust.ports import SealedLease
from wire import topics
from wire.state import MAX_STATE_BYTES

_NAME: Final = "trust"
_TIMEOUT_S: Final = 10.0
_IN_FLIGHT: Final = 200
_LARGEST_PACKET_BYTES: Final = 268_435_460
"""The largest packet that MQTT can encode, in bytes."""
_LARGEST_HEARD_BYTES: Final = MAX_STATE_BYTES + 128
"""The largest packet that the broker may send: a state with its topic, the only kind received."""
_MOST_WAITING: Final = 1000
"""How many received messages may wait; further messages are dropped."""
_log: Final = Log("trust.reconcile.mqtt_broker")


class _Client(aiomqtt.Client):
    """
    Detects when the broker acknowledges a message but refuses it.

    aiomqtt drops the reason code of a PUBACK, so a lease that the ACL refuses would count as
    published (MQTT 5, 3.4.2.1).
    """

    refused = 0
    max_packet_bytes = _LARGEST_PACKET_BYTES
    """The Maximum Packet Size of the broker's CONNACK (MQTT 5, 3.2.2.3.6)."""

    def _on_connect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: Any,
        properties: Any = None,
    ) -> None:
        self.max_packet_bytes = _allowed(properties)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: Any,
        properties: Any = None,
    ) -> None:
        # aiomqtt ignores this before the CONNACK, and would wait for it until its timeout.
        if not self._connected.done():
            code = reason_code if flags.is_disconnect_packet_from_server else None
            self._connected.set_exception(aiomqtt.MqttCodeError(code))
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any
    ) -> None:
        self.refused += bool(reason_code.is_failure)
        super()._on_publish(client, userdata, mid, reason_code, properties)


def _allowed(properties: Any) -> int:
    """Return the maximum packet size in bytes; a CONNACK without a limit allows MQTT's maximum."""
    found = getattr(properties, "MaximumPacketSize", None)
    return _LARGEST_PACKET_BYTES if found is None else int(found)


class MqttChannel:
    """
    An open connection of aiomqtt.

    Args:
        client: The connected client.

        max_packet_bytes: The largest packet that is sent, even if the broker allows more.
    """

    def __init__(self, client: _Client, *, max_packet_bytes: int) -> None:
        self._client = client
        self._max_packet_bytes = min(max_packet_bytes, client.max_packet_bytes)
        self._has_accepted = False

    async def publish(self, leases: Sequence[SealedLease]) -> Mapping[str, Cause]:
        fit = [lease for lease in leases if packet_bytes(lease) <= self._max_packet_bytes]
        causes = {lease.agent: Cause.LEASE_TOO_LARGE for lease in leases if lease not in fit}
        if not await self._accepts(fit):
            refused = [] if len(fit) > 1 else fit
            if not refused:
                # The broker does not say which of several leases it refused, so each is sent again
                # alone.
                refused = [one for one in fit if not await self._accepts([one])]
            if len(refused) == len(fit) and not self._has_accepted:
                raise BrokerUnavailable("its ACL keeps `trust` off vv1/lease/+")
            causes |= {lease.agent: Cause.BROKER_REFUSED for lease in refused}
        return causes

    async def _accepts(self, leases: Sequence[SealedLease]) -> bool:
        """Publish *leases*; return whether the broker accepted all of them."""
        refused = self._client.refused
        try:
            for first in range(0, len(leases), _IN_FLIGHT):
                await asyncio.gather(
                    *(self._publish_one(lease) for lease in leases[first : first + _IN_FLIGHT])
                )
        except aiomqtt.MqttError as exc:
            raise BrokerUnavailable(describe(exc, peer="the broker")) from None
        is_accepted = self._client.refused == refused
        self._has_accepted |= is_accepted and bool(leases)
        return is_accepted

    async def _publish_one(self, lease: SealedLease) -> None:
        await self._client.publish(topics.lease(lease.agent), lease.sealed, qos=1, retain=True)

    async def hear(self, heard: Callable[[str, bytes], None]) -> None:
        try:
            # At most once is enough: a dropped state is sent again.
            for code in await self._client.subscribe(topics.ALL_STATES, qos=0):
                if getattr(code, "is_failure", False):
                    _log.warning("states_refused", remedy="let `trust` read vv1/state/+")
            async for message in self._client.messages:
                if isinstance(message.payload, bytes):
                    heard(message.topic.value, message.payload)
        except aiomqtt.MqttError as exc:
            raise BrokerUnavailable(describe(exc, peer="the broker")) from None


def _asked() -> Properties:
    """Return the CONNECT properties for the broker (MQTT 5, 3.1.2.11)."""
    asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    asked.MaximumPacketSize = _LARGEST_HEARD_BYTES
    return asked


def packet_bytes(lease: SealedLease) -> int:
    """Return the size in bytes of *lease*'s PUBLISH packet without properties (MQTT 5, 3.3)."""
    rest = 2 + len(topics.lease(lease.agent)) + 2 + 1 + len(lease.sealed)
    # The remaining length takes a byte for each 7 bits (MQTT 5, 1.5.5).
    return 1 + max(1, -(-rest.bit_length() // 7)) + rest


class MqttBroker:
    """
    The broker, to which trust connects as the user `trust`.

    Args:
        settings: The broker's address and the files for TLS.

        max_packet_bytes: The largest packet that is sent; the broker may set a lower limit.

    Raises:
        ConfigError: A file for TLS is missing or has the wrong content.
    """

    def __init__(self, settings: BrokerSettings, *, max_packet_bytes: int) -> None:
        self._settings = settings
        self._max_packet_bytes = max_packet_bytes
        self._identity = TlsIdentity(settings.tls)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[MqttChannel]:
        """Yield a connection while the context is open; raise BrokerUnavailable if it fails."""
        client = _Client(
            self._settings.host,
            self._settings.port,
            identifier=_NAME,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=self._identity.context(),
            keepalive=self._settings.keep_alive_s,
            timeout=_TIMEOUT_S,
            clean_start=True,
            properties=_asked(),
            max_queued_incoming_messages=_MOST_WAITING,
            max_inflight_messages=_IN_FLIGHT,
            max_concurrent_outgoing_calls=_IN_FLIGHT,
        )
        try:
            await client.__aenter__()
        except (aiomqtt.MqttError, OSError) as exc:
            raise BrokerUnavailable(describe(exc, peer="the broker")) from None
        try:
            yield MqttChannel(client, max_packet_bytes=self._max_packet_bytes)
        finally:
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

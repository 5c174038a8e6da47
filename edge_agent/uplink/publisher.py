"""
The port `Broker` on aiomqtt: MQTT 5, QoS 1, mutual TLS 1.3.

Each connection starts a clean session. The spool publishes again what is not settled, and receipts
and leases are retained at the broker, so a session would only add older copies of both.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiomqtt

from edge_agent.errors import BrokerError
from edge_agent.ports import Connection, Downlink
from runtime.logs import describe
from runtime.settings import BrokerSettings
from runtime.tls_identity import TlsIdentity
from wire import topics

_QOS: Final = 1
_MAX_IN_FLIGHT: Final = 20
"""Publications without an acknowledgement, at most, unless the broker allows fewer."""
_TIMEOUT_S: Final = 10.0
_GRANTED: Final = (0, 1, 2)
"""MQTT 5, section 3.9.3: reason codes of a SUBACK above this one are refusals."""


class _Client(aiomqtt.Client):
    """aiomqtt's client, which also honours the Receive Maximum of the broker."""

    receive_max = _MAX_IN_FLIGHT

    def _on_connect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: Any,
        properties: Any = None,
    ) -> None:
        # Neither aiomqtt nor paho honours it, and a broker closes a connection that exceeds it.
        self.receive_max = getattr(properties, "ReceiveMaximum", _MAX_IN_FLIGHT)
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


class AiomqttConnection:
    """A `Connection` of *agent*."""

    def __init__(self, client: _Client, agent: str) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(min(_MAX_IN_FLIGHT, client.receive_max))
        self._agent = agent
        self._observations = topics.observations(agent)

    async def publish_envelope(self, payload: bytes) -> None:
        await self._publish(self._observations, payload, retain=False)

    async def publish_state(self, payload: bytes) -> None:
        await self._publish(topics.state(self._agent), payload, retain=True)

    async def _publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        try:
            async with self._slots:
                await self._client.publish(topic, payload, qos=_QOS, retain=retain)
        except aiomqtt.MqttError as exc:
            raise _broker_error("publishing", exc) from None
        _heed_cancellation()

    async def downlinks(self) -> AsyncIterator[Downlink]:
        receipt = topics.receipt(self._agent)
        lease = topics.lease(self._agent)
        try:
            for topic in (lease, receipt):
                granted = await self._client.subscribe(topic, _QOS)
                _heed_cancellation()
                if any(code not in _GRANTED for code in granted):
                    # Without the subscription, it would never learn of a withdrawal.
                    raise BrokerError(
                        "the broker refused the subscription. Check its rules for this agent"
                    )
            async for message in self._client.messages:
                payload = bytes(message.payload)
                if message.topic.value == receipt:
                    yield Downlink(receipt=payload)
                elif message.topic.value == lease:
                    yield Downlink(lease=payload)
        except aiomqtt.MqttError as exc:
            raise _broker_error("listening", exc) from None


class AiomqttBroker:
    """
    A `Broker`.

    Args:
        settings: Host, port and files of TLS.

        identity: The certificate and key of this agent.

        agent: The id of this agent, used as user name and client id.
    """

    def __init__(self, settings: BrokerSettings, identity: TlsIdentity, *, agent: str) -> None:
        self._settings = settings
        self._identity = identity
        self._agent = agent

    @asynccontextmanager
    async def connect(self, *, will: bytes) -> AsyncIterator[Connection]:
        client = _Client(
            self._settings.host,
            self._settings.port,
            identifier=self._agent,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=self._settings.keep_alive_s,
            will=aiomqtt.Will(topics.state(self._agent), will, qos=_QOS, retain=True),
            tls_context=self._identity.context(),
            timeout=_TIMEOUT_S,
            max_inflight_messages=_MAX_IN_FLIGHT,
        )
        # aiomqtt logs a warning above this number of calls; here the window bounds them.
        client.pending_calls_threshold = 1 << 20
        try:
            await client.__aenter__()
        except (aiomqtt.MqttError, ValueError) as exc:
            raise _broker_error("connecting", exc) from None
        try:
            yield AiomqttConnection(client, self._agent)
        finally:
            try:
                await client.__aexit__(None, None, None)
            except aiomqtt.MqttError as exc:
                raise _broker_error("disconnecting", exc) from None

    def is_outdated(self) -> bool:
        return self._identity.is_changed()


def _heed_cancellation() -> None:
    """Raise a pending cancellation: before Python 3.12, `wait_for` may lose it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _broker_error(what: str, exc: Exception) -> BrokerError:
    # Without its text, which may name the host or the message.
    return BrokerError(f"{what} failed: {describe(exc, peer='the broker')}")

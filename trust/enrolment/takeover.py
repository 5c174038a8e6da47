"""
Ends a gateway's connection with a second connection of the same name [MQTT-3.1.4-3].

mosquitto reads the revocation list again on a signal, and checks it for new connections only. A
second connection with the same client id ends the first one. So trust connects as the gateway,
with a certificate that is valid for a few minutes and never stored. This needs a setting of
deploy/mosquitto: the broker takes the client id from the certificate's name.

The module writes the five MQTT packets itself, because client libraries do not distinguish the TLS
alert for a revoked certificate from a broker that is away.
"""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Final

from runtime.logs import describe
from runtime.settings import BrokerSettings, TlsSettings
from runtime.tls import client_context
from trust.domain import pki
from trust.errors import BrokerUnavailable
from trust.keys import files
from wire import topics

_TIMEOUT_S: Final = 5.0
_ALERT_S: Final = 0.5
_CONNECT: Final = b"\x10"
_CONNACK: Final = 0x20
_PUBLISH_RETAINED: Final = b"\x33"
"""The quality of service: at least once."""
_PUBACK: Final = 0x40
_DISCONNECT: Final = b"\xe0\x00"
_FAILURE: Final = 0x80

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class MqttConnectionControl:
    """
    Connects to the broker with a given certificate, as any client.

    Args:
        settings: The broker's address; the certificate in the settings is not used.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings

    async def lets_in(self, holder: pki.Holder) -> bool:
        """
        Tell whether the broker accepts *holder*; False means that it reported a revoked
        certificate.

        Raises:
            BrokerUnavailable: The broker gave neither answer.
        """
        try:
            async with self._connected(holder) as (reader, writer):
                # In TLS 1.3 the client finishes before the server has checked its certificate.
                # Data sent to a server that has closed the connection resets it, and the server's
                # alert is lost.
                if await _within(_ALERT_S, reader.read(1)) is not None:
                    raise BrokerUnavailable("it closed the connection without a reason")
                await _greet(reader, writer, pki.common_name(holder.certificate) or "")
                return True
        except _Revoked:
            return False

    async def take_over(self, agent: str, holder: pki.Holder) -> None:
        """
        End the connection of *agent*, and delete its session and its retained state at the broker.

        Messages queued for the gateway are deleted with its session. Its retained state and its
        will are removed.

        Args:
            agent: The gateway.

            holder: A certificate with the gateway's name that is not revoked.

        Raises:
            BrokerUnavailable: The gateway may still be connected.
        """
        try:
            async with self._connected(holder) as (reader, writer):
                await _greet(reader, writer, agent)
                topic = _text(topics.state(agent))
                writer.write(_packet(_PUBLISH_RETAINED, topic + b"\x00\x01" + b"\x00"))
                answer = await _answer(reader, _PUBACK)
                if len(answer) > 2 and answer[2] >= _FAILURE:
                    raise BrokerUnavailable("its ACL keeps a gateway off its own state")
                writer.write(_DISCONNECT)
                await writer.drain()
        except _Revoked:
            raise BrokerUnavailable("it takes a certificate for revoked that is not") from None

    @contextlib.asynccontextmanager
    async def _connected(self, holder: pki.Holder) -> AsyncIterator[Streams]:
        writer = None
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    self._settings.host, self._settings.port, ssl=self._context(holder)
                )
                yield reader, writer
        except ssl.SSLError as exc:
            if "CERTIFICATE_REVOKED" in (exc.reason or ""):
                raise _Revoked from None
            raise BrokerUnavailable(describe(exc, peer="the broker")) from None
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as exc:
            raise BrokerUnavailable(describe(exc, peer="the broker")) from None
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(writer.wait_closed(), 1.0)

    def _context(self, holder: pki.Holder) -> ssl.SSLContext:
        # A certificate chain can only be loaded from files; they are in a private folder.
        with tempfile.TemporaryDirectory(prefix="vitalveil-") as folder:
            own = TlsSettings(
                self._settings.tls.ca_file, Path(folder) / "own.crt", Path(folder) / "own.key"
            )
            files.write(own.certificate_file, holder.certificate_pem(), mode=files.SECRET)
            files.write(own.key_file, holder.key_pem(), mode=files.SECRET)
            return client_context(own, section="broker.tls")


class _Revoked(Exception):
    """The broker reports that a certificate is on its revocation list."""


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
    """Connect with a clean start, no session to keep, and ten seconds to keep alive."""
    writer.write(_packet(_CONNECT, _text("MQTT") + b"\x05\x02\x00\x0a" + b"\x00" + _text(name)))
    if (await _answer(reader, _CONNACK))[1] >= _FAILURE:
        raise BrokerUnavailable("it refuses the connection")


async def _answer(reader: asyncio.StreamReader, kind: int) -> bytes:
    """Return the body of the next packet, which must be short and of *kind*."""
    first, length = await reader.readexactly(2)
    if first != kind or not 2 <= length < _FAILURE:
        raise BrokerUnavailable("its answer is not the expected one")
    return await reader.readexactly(length)


def _packet(first: bytes, rest: bytes) -> bytes:
    return first + bytes([len(rest)]) + rest


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


async def _within(seconds: float, reading: Awaitable[bytes]) -> bytes | None:
    try:
        return await asyncio.wait_for(reading, seconds)
    except TimeoutError:
        return None

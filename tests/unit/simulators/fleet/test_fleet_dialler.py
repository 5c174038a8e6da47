"""Connections of a fleet: real TLS on loopback, to a server with a minimum of MQTT."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mqtt5
import pytest

from runtime import files
from simulators.fleet.errors import RosterError
from simulators.fleet.gateway.dialler import Dialler
from simulators.fleet.gateway.gateway import Gateway
from simulators.fleet.gateway.tracks import ValueTrack
from tests.fakes.fleet import Bench
from trust.domain import pki
from wire.quantities import Code

_TRACK = ValueTrack(Code.HEART_RATE, 1000, [60])
_GRANTED = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE


class _Fleet(Bench):
    """A bench whose dialler hears of its gateways, as that of a driver does."""

    dialler: Dialler

    def came_up(self, gateway: Gateway) -> None:
        super().came_up(gateway)
        self.dialler.came_up(gateway)

    def went_down(self, gateway: Gateway) -> None:
        super().went_down(gateway)
        self.dialler.went_down(gateway)

    def gateway(self, number: int) -> Gateway:
        """Return a gateway that is not connected."""
        return Gateway(
            number, f"{number:016x}", lease_key=bytes(31) + b"\1", tracks=([_TRACK], 0),
            skew_ms=0, world=self,
        )  # fmt: skip


class _Server:
    """
    Answers CONNECT and SUBSCRIBE, and records the certificate and the packets of each
    client.
    """

    def __init__(self) -> None:
        self.port = 0
        self.names: list[tuple[str, str]] = []
        self.last: list[mqtt5.Packet] = []
        self.is_silent = False
        self.is_told = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert")
        name = dict(pair for group in peer["subject"] for pair in group)["commonName"]
        rest = b""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                rest += data
                while rest:
                    packet, length = mqtt5.read(memoryview(rest))
                    rest = rest[length:]
                    self.last.append(packet)
                    if isinstance(packet, mqtt5.ConnectPacket):
                        self.names.append((name, packet.client_id))
                        if self.is_silent:
                            break
                        writer.write(mqtt5.ConnAckPacket(receive_max=100).write())
                    elif isinstance(packet, mqtt5.DisconnectPacket):
                        self.is_told.set()
                    elif isinstance(packet, mqtt5.SubscribePacket):
                        writer.write(mqtt5.SubAckPacket(1, [_GRANTED] * 2).write())
                if self.is_silent:
                    break
        writer.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a broker's certificate, and the bundles of four gateways."""
    folder = tmp_path_factory.mktemp("fleet")
    now, long = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    ca = pki.create_ca(now=now, valid_for=long)
    (folder / "ca.crt").write_bytes(ca.certificate_pem())
    holders = {"broker": pki.CertificateRole.SERVER} | {
        f"{number:016x}": pki.CertificateRole.CLIENT for number in range(4)
    }
    for name, role in holders.items():
        holder = pki.issue(ca, name, role=role, now=now, valid_for=long, hosts=["127.0.0.1"])
        (folder / name).mkdir()
        (folder / name / "agent.crt").write_bytes(holder.certificate_pem())
        files.write(folder / name / "agent.key", holder.key_pem())
    stranger = pki.create_ca(now=now, valid_for=long)
    (folder / "stranger.crt").write_bytes(stranger.certificate_pem())
    return folder


@contextlib.asynccontextmanager
async def _serving(folder: Path, *, ca: str = "ca.crt") -> AsyncIterator[tuple[_Server, _Fleet]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker" / "agent.crt", folder / "broker" / "agent.key")
    context.load_verify_locations(folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    server, fleet = _Server(), _Fleet()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    fleet.dialler = Dialler("127.0.0.1", server.port, ca_file=folder / ca, at_once=4)
    async with listening:
        yield server, fleet


async def test_each_gateway_shows_its_own_certificate(folder: Path) -> None:
    """Gateways share one TLS context, and each shows its own certificate."""
    async with _serving(folder) as (server, fleet):
        gateways = [fleet.gateway(number) for number in range(4)]
        async with asyncio.timeout(60):
            await asyncio.gather(
                *(fleet.dialler.dial(one, folder / one.agent) for one in gateways)
            )
            assert sorted(server.names) == [(one.agent, one.agent) for one in gateways]
            assert [one.up_since > 0 for one in gateways] == [True] * 4
            await asyncio.wait([one.link.close() for one in gateways if one.link is not None])


async def test_a_goodbye_is_sent_before_the_socket_closes(folder: Path) -> None:
    """A link that is closed sends its buffer and then a DISCONNECT."""
    async with _serving(folder) as (server, fleet):
        gateway = fleet.gateway(0)
        async with asyncio.timeout(60):
            await fleet.dialler.dial(gateway, folder / gateway.agent)
            assert gateway.link is not None
            gateway.link.write(mqtt5.PingReqPacket().write())
            await gateway.link.close()
            await server.is_told.wait()
    assert isinstance(server.last[-2], mqtt5.PingReqPacket)
    assert fleet.tally.ended == {}


@pytest.mark.parametrize(
    ("ca", "bundle", "is_listening", "kind"),
    [
        ("stranger.crt", "0000000000000000", True, "tls"),
        ("ca.crt", "nowhere", True, "bundle_unreadable"),
        ("ca.crt", "0000000000000000", False, "unreachable_ConnectionRefusedError"),
    ],
    ids=["another authority", "no bundle", "nothing listens"],
)
async def test_a_connection_that_fails_has_a_kind(
    folder: Path, *, ca: str, bundle: str, is_listening: bool, kind: str
) -> None:
    """A failed connection is counted once by its kind, and frees its slot."""
    async with _serving(folder, ca=ca) as (server, fleet):
        if not is_listening:
            fleet.dialler = Dialler("127.0.0.1", 1, ca_file=folder / ca, at_once=4)
        gateway = fleet.gateway(0)
        async with asyncio.timeout(60):
            await fleet.dialler.dial(gateway, folder / bundle)
    assert fleet.tally.ended == {kind: 1}
    assert (server.names, fleet.down, gateway.link) == ([], [gateway], None)


async def test_a_broker_that_hangs_up_is_told(folder: Path) -> None:
    """If the broker closes the connection before the gateway is ready, dialling ends."""
    async with _serving(folder) as (server, fleet):
        server.is_silent = True
        gateway = fleet.gateway(0)
        async with asyncio.timeout(60):
            await fleet.dialler.dial(gateway, folder / gateway.agent)
    assert fleet.tally.ended == {"closed": 1}


async def test_a_gateway_that_leaves_during_the_handshake_stays_away(folder: Path) -> None:
    """A link that is ended during the handshake sends nothing, and is aborted."""
    async with _serving(folder) as (server, fleet):
        gateway = fleet.gateway(0)
        async with asyncio.timeout(60):
            dialling = asyncio.create_task(fleet.dialler.dial(gateway, folder / gateway.agent))
            while gateway.link is None:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0)
            gateway.give_up("left")
            await dialling
    assert fleet.tally.ended == {"left": 1}
    assert server.names == []


async def test_a_roster_without_an_authority_is_refused(folder: Path) -> None:
    """A CA file without a certificate is refused."""
    (folder / "empty.crt").write_text("")
    with pytest.raises(RosterError, match="cannot be read"):
        Dialler("127.0.0.1", 1, ca_file=folder / "empty.crt", at_once=1)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)
    writer.close()


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _speak_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("serve", "kind"),
    [(_say_nothing, "timeout"), (_hang_up, "reset"), (_speak_http, "tls")],
    ids=["silent", "hangs up", "no TLS"],
)
async def test_a_port_without_a_broker_frees_its_slot(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, serve: Any, kind: str
) -> None:
    """If another program answers at the port, dialling ends with a kind, and the slot is free."""
    monkeypatch.setattr("simulators.fleet.gateway.dialler._PATIENCE_S", 0.5)
    fleet = _Fleet()
    served: list[asyncio.Task[None]] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def whole() -> None:
            await serve(reader, writer)
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        served.append(asyncio.create_task(whole()))

    listening = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    fleet.dialler = Dialler("127.0.0.1", port, ca_file=folder / "ca.crt", at_once=1)
    async with listening, asyncio.timeout(60):
        for number in range(2):
            gateway = fleet.gateway(number)
            await fleet.dialler.dial(gateway, folder / gateway.agent)
            assert gateway.link is None
        await asyncio.wait(served)
    assert fleet.tally.ended == {kind: 2}

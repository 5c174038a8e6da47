"""The link of a gateway of a fleet: when it is left, and what it makes of octets."""

import mqtt5
import pytest

from simulators.fleet.errors import LinkEnded
from simulators.fleet.gateway.memory_spool import WINDOW
from tests.support.benches.fleet_gateway import AGENT, Setting
from wire import topics
from wire.receipt import SpoolReceipt


def test_a_silent_broker_is_left(setting: Setting) -> None:
    """A connection without any answer is ended, unless the gateway stops reading on purpose."""
    setting.act()
    setting.broker.link.heard_at = 0.0
    setting.broker.link.stop_reading()
    setting.gateway.keep_up(setting.bench.at + 60, resend_after_s=300)
    assert setting.bench.tally.ended == {}
    setting.broker.link.read_again()
    assert setting.broker.transport.pauses == [True, False]
    setting.gateway.keep_up(setting.bench.at + 60, resend_after_s=300)
    assert setting.bench.tally.ended == {"silent": 1}


def test_what_is_said_again_does_not_put_off_the_silence(setting: Setting) -> None:
    """Repeated requests do not extend the time in which the broker must answer."""
    setting.broker.link.heard_at = setting.bench.at
    setting.act()
    for _ in range(10):
        setting.bench.at += 5
        setting.gateway.keep_up(setting.bench.at, resend_after_s=1)
    assert setting.bench.tally.repeated > 0
    assert setting.bench.tally.ended == {"silent": 1}


def test_unreadable_messages_are_counted(setting: Setting) -> None:
    """An unreadable receipt or lease is counted, and changes nothing."""
    setting.act()
    setting.down(topics.receipt(AGENT), b"\xc1")
    setting.down(topics.lease(AGENT), b"\xc1" * 100)
    assert setting.bench.tally.unreadable == 2
    assert setting.gateway.link is not None


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write(),
         "broker_session_taken_over"),
        (b"\x00\x00", "not_mqtt"),
        (mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]).write(),
         "subscription_refused"),
        (mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.SERVER_BUSY).write(),
         "refused_server_busy"),
    ],
)  # fmt: skip
def test_a_link_ends_with_its_kind(setting: Setting, packet: bytes, kind: str) -> None:
    """The end of a connection is reported once, with a kind from a closed set."""
    setting.broker.send(packet)
    setting.broker.link.data_received(b"more")
    setting.broker.link.connection_lost(None)
    assert setting.bench.tally.ended == {kind: 1}
    assert setting.broker.transport.is_aborted


def test_a_message_in_two_reads_is_one(setting: Setting) -> None:
    """A packet that comes in two reads is one packet."""
    setting.act()
    receipt = setting.proven(SpoolReceipt(setting.gateway.spool_id, 1))
    packet = mqtt5.PublishPacket(
        topics.receipt(AGENT), receipt, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=9
    ).write()
    for part in (packet[:1], packet[1:20]):
        setting.broker.send(part)
        assert len(setting.gateway.spool) == 1
    setting.broker.send(packet[20:] + packet[:7])
    assert len(setting.gateway.spool) == 0
    setting.broker.send(packet[7:])
    assert (setting.bench.tally.receipts, setting.bench.tally.ended) == (2, {})


def test_a_message_without_end_ends_the_link(setting: Setting) -> None:
    """An incomplete packet beyond the limit ends the link."""
    # 300 KB of a PUBLISH of 256 MB.
    setting.broker.send(b"\x32\xff\xff\xff\x7f", *[bytes(10_000)] * 30)
    assert setting.bench.tally.ended == {"not_mqtt": 1}


def test_an_acknowledgement_lets_the_next_in_line_go(setting: Setting) -> None:
    """A full window holds envelopes back, and each acknowledgement lets one go."""
    packets = [packet for _ in range(WINDOW + 2) for packet in setting.act()]
    assert len(packets) == WINDOW
    for held, packet in zip((1, 0), packets, strict=False):
        assert packet.packet_id is not None
        found = setting.broker.send(mqtt5.PubAckPacket(packet.packet_id).write())
        assert len([p for p in found if isinstance(p, mqtt5.PublishPacket)]) == 1
        assert len(setting.gateway.spool.line) == held


def test_an_error_names_its_kind() -> None:
    """The error of a connection has its kind, and no address."""
    assert str(LinkEnded("tls")) == "a connection ended: tls"

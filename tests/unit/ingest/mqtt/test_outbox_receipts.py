"""Receipts under way: a limited number, and the newest of each topic."""

from ingest.mqtt.outbox import Outbox


def test_newer_payload_replaces_one_that_waits() -> None:
    """A waiting payload is replaced by a newer one, because the message is retained."""
    outbox = Outbox()
    outbox.put("a", b"1")
    outbox.put("a", b"2")
    assert [(p.topic, p.payload) for p in outbox.take(limit=5)] == [("a", b"2")]


def test_no_more_than_the_limit_are_in_flight() -> None:
    """The broker's window limits packets in flight, and each acknowledgement makes room."""
    outbox = Outbox()
    for topic in "abc":
        outbox.put(topic, b"")
    first, _ = outbox.take(limit=2)
    assert outbox.take(limit=2) == []
    assert outbox.acknowledged(first.packet_id)
    assert not outbox.acknowledged(first.packet_id)
    assert [p.topic for p in outbox.take(limit=2)] == ["c"]
    assert len(outbox) == 2


def test_session_that_is_still_there_gets_the_same_packets() -> None:
    """In a kept session unacknowledged packets are repeated under the same packet ids."""
    outbox = Outbox()
    outbox.put("a", b"1")
    sent = outbox.take(limit=5)
    assert outbox.resend(limit=5) == sent


def test_session_that_takes_less_than_before_is_not_overrun() -> None:
    """A broker that restarts with a smaller window is not exceeded."""
    outbox = Outbox()
    for topic in "abc":
        outbox.put(topic, b"1")
    first, *_ = outbox.take(limit=5)
    outbox.put("c", b"2")
    assert outbox.resend(limit=1) == [first]
    assert outbox.take(limit=1) == []
    outbox.acknowledged(first.packet_id)
    assert [(p.topic, p.payload) for p in outbox.take(limit=5)] == [("b", b"1"), ("c", b"2")]


def test_lost_session_gets_it_anew_unless_there_is_newer() -> None:
    """
    After a lost session unacknowledged payloads are published again, unless there is a
    newer one.
    """
    outbox = Outbox()
    for topic in "ab":
        outbox.put(topic, b"1")
    outbox.take(limit=5)
    outbox.put("b", b"2")
    outbox.lose_session()
    assert [(p.topic, p.payload) for p in outbox.take(limit=5)] == [("a", b"1"), ("b", b"2")]
    assert outbox.resend(limit=5)[0].packet_id


def test_packet_ids_go_round_past_those_in_flight() -> None:
    """Packet ids wrap around and skip 0, the id of the subscription and those in flight."""
    outbox = Outbox()
    outbox.put("held", b"")
    (held,) = outbox.take(limit=2)
    for _ in range(70_000):
        outbox.put("a", b"")
        (one,) = outbox.take(limit=2)
        assert 2 <= one.packet_id < 0xFFFF
        assert one.packet_id != held.packet_id
        outbox.acknowledged(one.packet_id)

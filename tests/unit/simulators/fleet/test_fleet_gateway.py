"""A gateway of a fleet, on a link whose other end is in memory."""

import mqtt5
import pytest

from simulators.fleet.scenario.plan import Act
from tests.fakes.fleet import FOREIGN_HANDLE, FOREIGN_TOPIC
from tests.support.benches.fleet_gateway import AGENT, HANDLE, Setting
from wire import state as wire_state
from wire import topics
from wire.envelope import decode_envelope
from wire.errors import BadSeal, UnsupportedVersion, WireError
from wire.quantities import Code
from wire.receipt import SpoolReceipt


def test_it_introduces_itself_as_an_agent_does(setting: Setting) -> None:
    """
    The gateway connects as an agent does: a clean session, its id, its state as the will, and
    subscriptions at QoS 1.
    """
    connect, subscribe = setting.connect_packet, setting.subscribe_packet
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert (connect.client_id, connect.clean_start) == (AGENT, True)
    assert connect.will is not None
    assert connect.will.payload is not None
    assert not wire_state.decode(connect.will.payload).online
    assert isinstance(subscribe, mqtt5.SubscribePacket)
    assert [f.pattern for f in subscribe.topic_filters] == [
        topics.lease(AGENT), topics.receipt(AGENT)
    ]  # fmt: skip
    (state,) = setting.after_suback
    assert isinstance(state, mqtt5.PublishPacket)
    assert state.topic == topics.state(AGENT)


def test_what_it_seals_ingest_opens(setting: Setting) -> None:
    """
    Ingest can open an envelope, which holds the values since the one before, under the lease's
    handle.
    """
    setting.act()
    (published,) = setting.act()
    body = setting.open(published.payload)
    assert published.topic == topics.observations(AGENT)
    assert (body.handle, body.lease) == (HANDLE, 1)
    (block,) = body.blocks
    until = round(setting.bench.at * 1000)
    assert block.times_ms() == list(range(until - 5000, until, 1000))
    assert setting.bench.journal.columns().observations.tolist() == [5, 5]


def test_nothing_is_measured_without_a_lease(setting: Setting) -> None:
    """Without a grant nothing is measured or sealed."""
    setting.lease(2, None)
    assert setting.act() == []
    assert setting.bench.tally.withheld == 1
    assert len(setting.bench.journal) == 0


def test_nothing_is_measured_beyond_the_end_of_a_lease(setting: Setting) -> None:
    """After the end of its lease nothing is measured."""
    setting.lease(2, HANDLE, not_after_ms=round((setting.bench.at + 6) * 1000))
    assert len(setting.act()) == 1
    assert setting.act() == []
    assert setting.bench.tally.withheld == 1


def test_an_older_lease_changes_nothing(setting: Setting) -> None:
    """A lease below the highest version seen changes nothing."""
    setting.lease(3, None)
    setting.lease(2, HANDLE)
    assert setting.act() == []


def test_a_lost_lease_purges_what_was_not_sent(setting: Setting) -> None:
    """
    When a handle is withdrawn, its unpublished envelopes are dropped, and published ones
    are kept.
    """
    setting.act()
    setting.act(Act.SEND_LATE)
    setting.lease(2, None)
    assert list(setting.gateway.spool.waiting) == [1]
    assert setting.bench.journal.columns().settled_at.tolist() == [0.0, -1.0]


def test_it_forgets_on_receipts_and_not_on_acks(setting: Setting) -> None:
    """An acknowledgement of the broker makes room in the window; only a receipt settles."""
    (published,) = setting.act()
    assert published.packet_id is not None
    setting.broker.send(mqtt5.PubAckPacket(published.packet_id).write())
    assert len(setting.gateway.spool) == 1
    setting.bench.at += 2
    setting.settle(1)
    assert len(setting.gateway.spool) == 0
    columns = setting.bench.journal.columns()
    assert columns.settled_at[0] - columns.due_at[0] == pytest.approx(2)


def test_a_receipt_for_another_spool_settles_nothing(setting: Setting) -> None:
    """A receipt for another spool settles nothing."""
    setting.act()
    receipt = setting.proven(SpoolReceipt(b"x" * 16, 9))
    setting.down(topics.receipt(AGENT), receipt)
    assert len(setting.gateway.spool) == 1


def test_a_new_connection_publishes_the_same_bytes_again(setting: Setting) -> None:
    """After a reconnection each unsettled envelope is published again, byte for byte."""
    (first,) = setting.act()
    setting.broker.link.end("cut")
    assert setting.bench.down == [setting.gateway]
    setting.connect()
    again = [p for p in setting.after_suback if isinstance(p, mqtt5.PublishPacket)]
    assert first.payload in [p.payload for p in again]
    assert setting.bench.tally.repeated == 1


def test_nothing_is_lost_while_it_is_away(setting: Setting) -> None:
    """Envelopes that are due without a connection are sealed and sent later."""
    setting.broker.link.end("cut")
    setting.bench.at += 5
    setting.gateway.act(Act.SEND, 0, setting.bench.at, 5.0)
    setting.connect()
    assert setting.bench.tally.published == 1


def test_acknowledgements_ride_with_the_next_envelope(setting: Setting) -> None:
    """
    Acknowledgements for receipts and leases are sent in the same record as the next
    envelope.
    """
    records = setting.broker.transport.records
    setting.bench.at += 5
    setting.gateway.act(Act.SEND, 0, setting.bench.at, 5.0)
    found = setting.broker.exchange()
    assert [type(p) for p in found] == [mqtt5.PubAckPacket, mqtt5.PublishPacket]
    assert setting.broker.transport.records == records + 1


def test_acknowledgements_do_not_wait_for_ever(setting: Setting) -> None:
    """Acknowledgements are sent alone when many are owed, because the broker waits for them."""
    setting.act()
    owed = 0
    for _ in range(9):
        assert setting.down(topics.receipt(AGENT), b"") == []
    owed = len(setting.down(topics.receipt(AGENT), b""))
    assert owed == 10


def test_a_state_that_is_nearly_due_goes_with_an_envelope(setting: Setting) -> None:
    """A state that is due within a second is sent in the same record as an envelope."""
    setting.bench.state_every_s = 30.0
    setting.gateway.keep_up(setting.bench.at + 31, resend_after_s=300)
    setting.broker.exchange()
    setting.bench.at += 31
    found = [[p.topic for p in setting.act()] for _ in range(6)]
    assert [len(topics_of) for topics_of in found] == [1, 1, 1, 1, 1, 2]
    setting.bench.at += 24.5
    assert topics.state(AGENT) in [p.topic for p in setting.act()]


@pytest.mark.parametrize("act", [Act.FOREIGN_HANDLE, Act.IMPLAUSIBLE, Act.FROM_THE_FUTURE,
                                 Act.NOT_PERMITTED, Act.TOO_FINE])  # fmt: skip
def test_hostile_bodies_are_sealed_well(setting: Setting, act: Act) -> None:
    """Bodies that ingest must refuse are sealed validly."""
    (honest,) = setting.act()
    (hostile,) = setting.act(act)
    body, block = setting.open(hostile.payload), setting.open(hostile.payload).blocks[0]
    assert decode_envelope(hostile.payload).sequence == 2
    assert (body.handle == FOREIGN_HANDLE) is (act is Act.FOREIGN_HANDLE)
    assert (block.quantity != Code.HEART_RATE) is (act is Act.NOT_PERMITTED)
    assert (block.unpacked_values()[0] > 300) is (act in (Act.IMPLAUSIBLE, Act.NOT_PERMITTED))
    assert (block.times_ms()[-1] > setting.bench.at * 1000) is (act is Act.FROM_THE_FUTURE)
    assert (len(block) == 2 and block.step == 1) is (act is Act.TOO_FINE)
    assert setting.open(honest.payload).blocks[0].unpacked_values()[0] < 200


def test_a_hostile_envelope_takes_nothing_from_the_honest(setting: Setting) -> None:
    """After a hostile envelope the next honest one still has all values."""
    setting.act()
    setting.act(Act.IMPLAUSIBLE)
    (published,) = setting.act()
    assert len(setting.open(published.payload).blocks[0]) == 10


def test_a_corrupt_envelope_does_not_open(setting: Setting) -> None:
    """An envelope with one changed bit does not open."""
    (published,) = setting.act(Act.CORRUPT)
    with pytest.raises(BadSeal):
        setting.open(published.payload)
    assert setting.bench.tally.nameless == {"corrupt": 1}


@pytest.mark.parametrize("act", [Act.CORRUPT, Act.FOREIGN_HANDLE])
def test_what_ingest_cannot_know_for_ours_has_the_identity_of_the_next(
    setting: Setting, act: Act
) -> None:
    """
    A hostile envelope that takes no identity uses the sequence of the next honest one, which must
    still be stored.
    """
    setting.act()
    (spoilt,) = setting.act(act)
    (honest,) = setting.act()
    assert decode_envelope(spoilt.payload).sequence == decode_envelope(honest.payload).sequence
    assert len(setting.gateway.spool) == 2


@pytest.mark.parametrize(
    ("act", "error"), [(Act.GARBAGE, WireError), (Act.FROM_A_LATER_VERSION, UnsupportedVersion)]
)
def test_nameless_envelopes_have_no_place_in_the_journal(
    setting: Setting, act: Act, error: type[WireError]
) -> None:
    """Envelopes without an identity are counted, and are not in the journal."""
    (published,) = setting.act(act)
    with pytest.raises(error):
        decode_envelope(published.payload)
    assert len(setting.gateway.spool) == 0
    assert setting.bench.tally.nameless == {act.name.lower(): 1}


def test_a_forgery_has_a_settled_identity_and_other_bytes(setting: Setting) -> None:
    """A forgery has a settled sequence and other bytes, so that the genuine envelope was first."""
    (honest,) = setting.act(Act.FORGED)
    setting.settle(1)
    (forged,) = setting.act(Act.FORGED)
    one, other = decode_envelope(honest.payload), decode_envelope(forged.payload)
    assert (one.spool_id, one.sequence) == (other.spool_id, other.sequence)
    assert one.sealed != other.sealed


def test_a_foreign_topic_is_counted_as_denied(setting: Setting) -> None:
    """An envelope that the broker refuses counts as denied, and not as taken."""
    (published,) = setting.act(Act.FOREIGN_TOPIC)
    assert published.topic == FOREIGN_TOPIC
    assert published.packet_id is not None
    setting.broker.send(
        mqtt5.PubAckPacket(
            published.packet_id, reason_code=mqtt5.PubAckReasonCode.NOT_AUTHORIZED
        ).write()
    )
    assert (setting.bench.tally.denied, setting.bench.tally.nameless_taken) == (1, 0)


def test_what_waits_too_long_goes_again(setting: Setting) -> None:
    """
    An envelope that has waited too long for a receipt is published again with the same
    bytes.
    """
    (first,) = setting.act()
    setting.broker.link.heard_at = setting.bench.at
    setting.gateway.keep_up(setting.bench.at + 10, resend_after_s=30)
    assert setting.broker.exchange() == []
    setting.broker.link.heard_at = setting.bench.at + 30
    setting.gateway.keep_up(setting.bench.at + 31, resend_after_s=30)
    (again,) = [p for p in setting.broker.exchange() if isinstance(p, mqtt5.PublishPacket)]
    assert again.payload == first.payload


def test_a_forgery_of_nothing_is_honest(setting: Setting) -> None:
    """Before the first receipt there is no sequence to forge, and an honest envelope is sent."""
    (published,) = setting.act(Act.FORGED)
    assert len(setting.open(published.payload)) == 5
    assert setting.bench.journal.columns().observations.tolist() == [5]
    (after,) = setting.act()
    assert len(setting.open(after.payload)) == 5

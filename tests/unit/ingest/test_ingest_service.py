"""The main loop of ingest, with ports in memory."""

import asyncio
import functools
import itertools
from collections.abc import Sized

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.errors import Unavailable, Unusable
from ingest.metrics import Metrics
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.receipts import Proofs, Receipts
from ingest.receipts.settle import Settlements
from ingest.values.outcome import QuarantineReason
from tests.fakes.ingest import (
    AGENT,
    SPOOL,
    MemoryReceiver,
    MemoryStore,
    changes,
    delivery,
    knowing,
    permission,
)
from tests.support.benches.ingest_service import KEY, Running, envelopes, read, running, told
from wire import agreement, receipt, state, topics


async def test_nothing_is_acknowledged_before_its_commit() -> None:
    """
    While the database fails nothing is acknowledged; after the COMMIT acknowledgement and receipt
    follow.
    """
    store = MemoryStore(failures=[Unavailable("08006"), Unavailable("40P01")])
    async with running(store) as one:
        one.receiver.feed(told(), delivery(envelopes(1)[0]))
        await one.until(lambda: not store.failures)
        assert len(one.receiver.acknowledged) == 1
        assert one.value("in_flight_envelopes") == 1
        await one.until(lambda: bool(one.receiver.published))
        assert len(one.receiver.acknowledged) == len(store.flushes) + 1 == 2
        ((topic, payload),) = one.receiver.published
        assert topic == topics.receipt(AGENT)
        assert read(payload) == [receipt.SpoolReceipt(SPOOL, 1)]


async def test_keys_are_agreed_on_before_the_first_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Ingest agrees on receipt keys with a gateway at its first envelope, before any commit, and not
    again for its first receipt.
    """
    agreed: list[str] = []

    def counted(key: X25519PrivateKey, lease_public: bytes, agent: str) -> agreement.Agreement:
        agreed.append(agent)
        return genuine(key, lease_public, agent)

    genuine = agreement.of_ingest
    monkeypatch.setattr(agreement, "of_ingest", counted)
    store = MemoryStore(failures=[Unavailable("08006"), Unavailable("08006")])
    async with running(store) as one:
        one.receiver.feed(delivery(envelopes(1)[0]))
        await one.until(lambda: not store.failures)
        assert agreed == [AGENT]
        assert store.flushes == []
        one.receiver.feed(told())
        await one.until(lambda: bool(one.receiver.published))
        assert agreed == [AGENT]


async def test_poison_is_bisected() -> None:
    """One envelope that the database cannot store is quarantined; the others are stored."""
    sent = envelopes(8)
    store = MemoryStore(poison=[sent[5]])
    async with running(store, max_envelopes=8) as one:
        one.receiver.feed(*map(delivery, sent))
        await one.until(lambda: len(one.receiver.acknowledged) == 8)
        assert one.value("envelopes_total", outcome="stored") == 7
        assert one.value("quarantined_envelopes_total", reason="poison") == 1
        quarantined = [
            one_fate
            for stored in store.flushes
            for one_fate in stored.fates
            if one_fate[1] is QuarantineReason.POISON
        ]
        assert len(quarantined) == 1


async def test_unusable_database_ends_the_service() -> None:
    """
    An error that only a person can repair ends the service, even if no further envelope
    comes.
    """
    store = MemoryStore(failures=[Unusable("42P01")])
    one = Running(store)
    task = asyncio.create_task(one.service.run(asyncio.Event()))
    one.receiver.feed(delivery(envelopes(1)[0]))
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(task, 10)
    assert caught.group_contains(Unusable, depth=1)
    assert one.receiver.acknowledged == []


async def test_older_connections_deliveries_are_abandoned() -> None:
    """Deliveries of an ended connection are only counted, because they come again."""
    async with running(MemoryStore()) as one:
        one.receiver.generation = 2
        old, new = envelopes(2)
        one.receiver.feed(delivery(old, generation=1), delivery(new, generation=2))
        await one.until(lambda: bool(one.receiver.acknowledged))
        assert one.value("received_envelopes_total") == 2
        assert one.value("abandoned_envelopes_total") == 1
        assert one.value("envelopes_total", outcome="stored") == 1
        assert one.value("in_flight_envelopes") == 0


async def test_reconnections_while_the_database_is_away_add_no_windows() -> None:
    """
    Deliveries of an ended connection that wait for a flush are dropped, so that memory
    is bounded.
    """
    sent = envelopes(10)
    store = MemoryStore(failures=[Unavailable("08006")] * 100)
    async with running(store) as one:
        one.receiver.feed(*map(delivery, sent))
        await one.until(lambda: len(store.failures) < 100)
        for generation in (2, 3, 4):
            one.receiver.generation = generation
            one.receiver.feed(*(delivery(payload, generation=generation) for payload in sent))
            await one.until(
                lambda: one.value("received_envelopes_total") == 10 * one.receiver.generation
            )
        assert (one.value("in_flight_envelopes") or 0) <= 12
        store.failures.clear()
        await one.until(lambda: one.value("in_flight_envelopes") == 0)
        assert one.value("envelopes_total", outcome="stored") == 10


async def test_changes_inside_the_transaction_decide_again() -> None:
    """A withdrawal that is committed before the flush is obeyed, and known from then on."""
    store = MemoryStore()
    store.changes = changes(2, permissions=[permission(is_withdrawn=True)])
    async with running(store) as one:
        one.receiver.feed(delivery(envelopes(1)[0]))
        await one.until(lambda: bool(one.receiver.acknowledged))
        assert one.value("refused_envelopes_total", reason="withdrawn") == 1
        assert one.value("permissions_epoch") == 2


async def test_flush_is_not_decided_by_permissions_behind_the_change_that_it_holds() -> None:
    """A flush waits for an earlier change that is still unknown, and stores nothing without it."""
    store = MemoryStore()
    withdrawn = permission(is_withdrawn=True)
    store.changes = msgspec.structs.replace(changes(3, permissions=[withdrawn]), since=2)
    async with running(store) as one:
        one.receiver.feed(delivery(envelopes(1)[0]))
        await one.until(lambda: bool(one.value("flush_retries_total")))
        assert one.permissions.epoch == 1
        assert store.flushes == []
        assert one.receiver.acknowledged == []
        one.service.apply(changes(2))
        await one.until(lambda: bool(one.receiver.acknowledged))
        assert one.value("refused_envelopes_total", reason="withdrawn") == 1
        assert one.permissions.epoch == 3
        assert [len(stored.plan.admission.rows) for stored in store.flushes] == [0]


async def test_revoked_agent_gets_no_receipt() -> None:
    """An envelope of a revoked agent gets no receipt, because it is not in the ledger."""
    first, second = envelopes(2)
    async with running(MemoryStore()) as one:
        one.receiver.feed(told(), delivery(first))
        await one.until(lambda: bool(one.receiver.published))
        one.permissions.apply(changes(2, agents=[(AGENT, None)]))
        one.receiver.feed(delivery(second))
        await one.until(lambda: len(one.receiver.acknowledged) == 3)
    assert len(one.receiver.published) == 1
    assert one.value("refused_envelopes_total", reason="agent_revoked") == 1


def _has(found: Sized, count: int) -> bool:
    return len(found) == count


@pytest.mark.parametrize(
    ("order", "signs"),
    [
        pytest.param("0101", 1, id="two holders"),
        pytest.param("0000", 0, id="one"),
        pytest.param("01", 0, id="another spool, and both again"),
    ],
)
async def test_two_holders_of_one_identity_are_counted(order: str, signs: int) -> None:
    """
    Two holders of one identity are counted when their spools advance alternately; redeliveries do
    not count.
    """
    spools = [iter(envelopes(4, bytes([n]) * 16)) for n in range(2)]
    sent = [next(spools[int(letter)]) for letter in order]
    again = sent[:2] * 3
    async with running(MemoryStore()) as one:
        one.receiver.feed(told())
        await one.until(lambda: len(one.receiver.acknowledged) == 1)
        for count, payload in enumerate((*sent[:2], *again, *sent[2:]), 2):
            one.receiver.feed(delivery(payload))
            await one.until(functools.partial(_has, one.receiver.acknowledged, count))
    assert one.value("envelopes_total", outcome="duplicate") == len(again)
    assert one.value("clone_signs_total", sign="spools_in_turns") == signs


async def test_stop_flushes_what_was_received() -> None:
    """At a stop a batch that is not due yet is committed and acknowledged."""
    store = MemoryStore()
    async with running(store, max_envelopes=1000) as one:
        one.receiver.feed(told(), *map(delivery, envelopes(3)))
    assert one.receiver.is_stopped
    assert len(one.receiver.acknowledged) == 4
    assert len(one.receiver.published) == 1
    assert one.value("in_flight_envelopes") == 0


async def test_state_is_acknowledged_and_no_envelope() -> None:
    """
    A state is acknowledged and its floor used; an invalid one is ignored. Neither counts as an
    envelope.
    """
    nonsense = delivery(b"nonsense")
    nonsense.topic = topics.state(AGENT)
    async with running(MemoryStore()) as one:
        one.receiver.feed(told(floor=9), nonsense, delivery(envelopes(1)[0]))
        await one.until(lambda: bool(one.receiver.published))
        assert len(one.receiver.acknowledged) == 3
        assert one.value("received_envelopes_total") == 1
        assert read(one.receiver.published[-1][1])[0].through == 8


def test_a_state_that_tells_nothing_is_counted_by_why() -> None:
    """
    An invalid state is counted by its reason, in one process only, and an emptied topic is not
    counted.
    """
    settlements = Settlements(interval_s=0.0)
    counts = []
    for is_ours in (True, False):
        metrics = Metrics()
        sender = ReceiptSender(
            MemoryReceiver(),
            settlements,
            Receipts(Proofs([KEY]), knowing(permission()).peers),
            metrics,
            monotonic_s=lambda: 0.0,
            is_ours=lambda agent, is_ours=is_ours: is_ours,  # type: ignore[misc]
        )
        for payload in (b"nonsense", b"\xff" * 9000, b" " * (state.MAX_STATE_BYTES + 1), b""):
            about = delivery(payload)
            about.topic = topics.state(AGENT)
            sender.heard(about)
        about = delivery(state.encode(state.State(True, "test")))
        about.topic = topics.state(AGENT) + "0"
        sender.heard(about)
        name = "vitalveil_ingest_unreadable_states_total"
        counts.append(
            [
                metrics.registry.get_sample_value(name, {"reason": reason})
                for reason in ("malformed", "too_large", "topic")
            ]
        )
    assert counts == [[1.0, 2.0, 1.0], [0.0, 0.0, 1.0]]


async def test_state_that_comes_late_brings_the_receipt() -> None:
    """Receipts wait until the state says which form the agent reads, and a metric shows that."""
    async with running(MemoryStore()) as one:
        one.receiver.feed(delivery(envelopes(1)[0]))
        await one.until(lambda: one.value("waiting_receipts", reason="no_state") == 1)
        assert one.receiver.published == []
        one.receiver.feed(told(reads=[]))
        await one.until(lambda: bool(one.receiver.published))
        assert receipt.decode(one.receiver.published[0][1]).spools[0].through == 1
        assert one.value("waiting_receipts", reason="no_state") == 0
        # After the upgrade the agent gets a receipt that it accepts.
        one.receiver.feed(told())
        await one.until(lambda: len(one.receiver.published) == 2)
        assert read(one.receiver.published[1][1])[0].through == 1


async def test_key_that_comes_late_brings_the_receipt() -> None:
    """
    When trust has written the key of an upgraded agent, its receipt goes out and its floor is
    used.
    """
    async with running(MemoryStore()) as one:
        one.service.apply(changes(2, agents=[(AGENT, "sealed")], lease_key=bytes(32)))
        one.receiver.feed(told(floor=5), delivery(envelopes(1)[0]))
        await one.until(lambda: one.value("waiting_receipts", reason="no_key") == 1)
        assert one.value("ignored_floors_total", reason="no_key") == 1
        one.service.apply(changes(3, agents=[(AGENT, "sealed")]))
        await one.until(lambda: bool(one.receiver.published))
        assert read(one.receiver.published[0][1])[0].through == 4


async def test_every_envelope_of_a_long_stream_is_settled_in_turn() -> None:
    """Two alternating batches settle every envelope of a long stream in the order of receipt."""
    sent = [delivery(payload) for payload in envelopes(200)]
    async with running(MemoryStore(), max_envelopes=7) as one:
        for one_delivery in sent:
            one.receiver.feed(one_delivery)
        await one.until(lambda: len(one.receiver.acknowledged) == 200)
        assert one.receiver.acknowledged == sent


async def test_a_full_window_leaves_others_their_turns() -> None:
    """While thousands of envelopes are opened, other tasks of the event loop get their turn."""
    sent = [delivery(payload) for payload in envelopes(2000)]
    async with running(MemoryStore(), max_envelopes=2000) as one:
        one.receiver.feed(*sent)
        seen = [0.0]
        while len(one.receiver.acknowledged) < len(sent):
            await asyncio.sleep(0)
            seen.append(one.value("received_envelopes_total") or 0)
        assert max(b - a for a, b in itertools.pairwise(seen)) <= 600
        assert one.receiver.acknowledged == sent


async def test_what_arrived_and_was_not_opened_is_flushed_at_the_end() -> None:
    """A stop while a full window is being opened loses no envelope, and keeps the order."""
    sent = [delivery(payload) for payload in envelopes(1000)]
    async with running(MemoryStore(), max_envelopes=1000) as one:
        one.receiver.feed(*sent)
        await one.until(lambda: bool(one.value("received_envelopes_total")))
        assert (one.value("received_envelopes_total") or 0) < 1000
    assert one.receiver.acknowledged == sent

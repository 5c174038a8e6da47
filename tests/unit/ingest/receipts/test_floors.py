"""Floors: the sequences below which an agent says that it will send no more."""

import pytest

from ingest.admission.permissions import NO_KEY, Permissions
from ingest.metrics import Metrics
from ingest.mqtt.session import SessionSettings
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.floors import Floors, Ignored
from ingest.receipts.receipts import Proofs, Receipts
from ingest.receipts.settle import Settlements
from tests.fakes.ingest import (
    AGENT,
    LEASE_PUBLIC,
    SPOOL,
    MemoryReceiver,
    changes,
    delivery,
)
from tests.support.benches.receipts import NEW, OTHER, Peers, receipts, shared
from wire import state, topics
from wire.receipt import MAX_SPOOLS, SpoolReceipt
from wire.state import SpoolState


def told(floor: int, *, proof: str | None = None) -> SpoolState:
    """Return the state of a spool as its agent reports it."""
    if proof is None:
        proof = state.prove_floor(SPOOL, floor, shared(NEW))
    return SpoolState(SPOOL.hex(), floor, 0, proof)


@pytest.mark.parametrize(
    ("said", "lease_key", "why"),
    [
        pytest.param(told(9), LEASE_PUBLIC, None, id="proven"),
        pytest.param(told(9, proof=""), LEASE_PUBLIC, Ignored.NO_PROOF, id="of before"),
        pytest.param(told(9), NO_KEY, Ignored.NO_KEY, id="no key"),
        pytest.param(told(9), bytes([1]) + bytes(31), Ignored.NO_KEY, id="small order"),
        pytest.param(told(9, proof=told(8).proof), LEASE_PUBLIC, Ignored.BAD_PROOF, id="raised"),
        pytest.param(
            told(1 << 62, proof=told(8).proof), LEASE_PUBLIC, Ignored.BAD_PROOF, id="all"
        ),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_floor_settles_only_what_its_agent_says(
    said: SpoolState, lease_key: bytes, why: Ignored | None, is_known: bool
) -> None:
    """A floor settles sequences only with a valid proof, before or after the spool is known."""
    settlements = Settlements(interval_s=0.0)
    ignored: list[Ignored] = []
    judge = receipts(Peers(lease_key=lease_key)).judge_floor
    floors = Floors(settlements, judge, on_ignored=ignored.append)
    if is_known:
        settlements.load((AGENT, SPOOL), 0, [])
    floors.told(AGENT, said, now=0.0)
    if not is_known:
        assert settlements.due_in_s(now=0.0) is None
        settlements.load((AGENT, SPOOL), 0, [])
        floors.learned((AGENT, SPOOL), now=0.0)
    expected = [(AGENT, [SpoolReceipt(SPOOL, said.floor - 1)])] if why is None else []
    assert settlements.take_due(now=0.0) == expected
    assert ignored == ([] if why is None else [why])


def test_an_older_floor_that_comes_again_changes_nothing() -> None:
    """A repeated older floor changes nothing."""
    settlements = Settlements(interval_s=0.0)
    settlements.load((AGENT, SPOOL), 0, [])
    floors = Floors(settlements, receipts(Peers()).judge_floor, on_ignored=lambda why: None)
    for floor in (9, 4, 9):
        floors.told(AGENT, told(floor), now=0.0)
    assert settlements.take_due(now=0.0) == [(AGENT, [SpoolReceipt(SPOOL, 8)])]


def test_floors_of_unknown_spools_are_remembered_within_bounds() -> None:
    """
    The number of remembered floors of unknown spools is limited, and no proof is computed for
    them.
    """
    settlements = Settlements(interval_s=0.0)
    asked: list[str] = []

    def judge(agent: str, _: SpoolState) -> None:
        asked.append(agent)

    floors = Floors(settlements, judge, on_ignored=lambda why: None, max_claims=2)
    for number in range(1, 6):
        floors.told(f"{number:016x}", told(9), now=0.0)
    assert asked == []
    for number in range(1, 6):
        spool = f"{number:016x}", SPOOL
        settlements.load(spool, 0, [])
        floors.learned(spool, now=0.0)
    assert asked == [f"{number:016x}" for number in (4, 5)]


@pytest.mark.parametrize("unknown", [NO_KEY, bytes([1]) + bytes(31)], ids=["none", "small order"])
def test_a_floor_that_comes_before_its_agents_key_is_taken_once_the_key_is_known(
    unknown: bytes,
) -> None:
    """
    A floor from before its agent's key is counted as ignored once, and checked again when the key
    is known.
    """
    settlements = Settlements(interval_s=0.0)
    settlements.load((AGENT, SPOOL), 0, [])
    ignored: list[Ignored] = []
    peers = Peers(lease_key=unknown)
    floors = Floors(settlements, receipts(peers).judge_floor, on_ignored=ignored.append)
    for floor in (4, 9, 9):
        floors.told(AGENT, told(floor), now=0.0)
    floors.recognised([AGENT, OTHER], now=0.0)
    assert ignored == [Ignored.NO_KEY] * 2
    assert settlements.take_due(now=0.0) == []
    peers.lease_key = LEASE_PUBLIC
    floors.recognised([OTHER], now=0.0)
    assert settlements.take_due(now=0.0) == []
    floors.recognised([AGENT], now=0.0)
    assert settlements.take_due(now=0.0) == [(AGENT, [SpoolReceipt(SPOOL, 8)])]
    assert not floors.has_keyless
    peers.lease_key = unknown
    floors.told(AGENT, told(20, proof=told(19).proof), now=0.0)
    peers.lease_key = LEASE_PUBLIC
    floors.recognised([AGENT], now=0.0)
    assert ignored[2:] == [Ignored.NO_KEY, Ignored.BAD_PROOF]
    assert settlements.take_due(now=0.0) == []
    assert not floors.has_keyless


def test_a_floor_waits_for_a_key_and_for_its_spool_in_any_order() -> None:
    """A floor waits for its agent's key and for its spool, in either order."""
    settlements = Settlements(interval_s=0.0, max_spools=1)
    settlements.load((AGENT, SPOOL), 0, [])
    peers = Peers(lease_key=NO_KEY)
    floors = Floors(settlements, receipts(peers).judge_floor, on_ignored=lambda why: None)
    floors.told(AGENT, told(9), now=0.0)
    settlements.load((OTHER, SPOOL), 0, [])
    peers.lease_key = LEASE_PUBLIC
    floors.recognised([AGENT], now=0.0)
    settlements.load((AGENT, SPOOL), 0, [])
    floors.learned((AGENT, SPOOL), now=0.0)
    assert settlements.take_due(now=0.0) == [(AGENT, [SpoolReceipt(SPOOL, 8)])]


def test_floors_that_wait_for_keys_are_remembered_within_bounds() -> None:
    """The number of floors that wait for keys is limited, in all and for each agent."""
    settlements = Settlements(interval_s=0.0)
    asked: list[tuple[str, str]] = []

    def judge(agent: str, said: SpoolState) -> Ignored:
        asked.append((agent, said.spool_id))
        return Ignored.NO_KEY

    floors = Floors(settlements, judge, on_ignored=lambda why: None, max_claims=2)
    agents = [f"{number:016x}" for number in range(1, 6)]
    spools = [number.to_bytes(16, "big") for number in range(1, 2 * MAX_SPOOLS)]
    for agent in agents:
        for spool_id in spools:
            settlements.load((agent, spool_id), 0, [])
            floors.told(agent, SpoolState(spool_id.hex(), 9, 0, "ab"), now=0.0)
    asked.clear()
    floors.recognised(agents, now=0.0)
    kept = [spool_id.hex() for spool_id in spools[-MAX_SPOOLS:]]
    assert asked == [(agent, spool_id) for agent in agents[-2:] for spool_id in kept]


def test_permissions_that_bring_a_key_have_the_floor_taken() -> None:
    """When permissions bring a key, the waiting floor is checked."""
    settlements = Settlements(interval_s=0.0)
    settlements.load((AGENT, SPOOL), 0, [])
    permissions = Permissions()
    permissions.apply(changes(1, is_complete=True, agents=[(AGENT, "sealed")], lease_key=NO_KEY))
    sender = ReceiptSender(
        MemoryReceiver(),
        settlements,
        Receipts(Proofs([NEW]), permissions.peers),
        Metrics(),
        monotonic_s=lambda: 0.0,
        is_ours=lambda agent: True,
    )
    about = delivery(
        state.encode(state.State(True, "test", spools=[told(9)], reads=[state.RECEIPT_2]))
    )
    about.topic = topics.state(AGENT)
    sender.heard(about)
    assert settlements.is_behind((AGENT, SPOOL), 9)
    brought = changes(2, agents=[(AGENT, "sealed")])
    permissions.apply(brought)
    sender.changed(brought)
    assert settlements.is_behind((AGENT, SPOOL), 9) is False


def test_a_worker_believes_and_tells_the_agents_of_its_shards_alone() -> None:
    """A worker uses only the states of agents in its shards."""
    shard = topics.shard_of(AGENT)
    assert SessionSettings().has(AGENT)
    assert SessionSettings(first_shard=shard, last_shard=shard).has(AGENT)
    assert not SessionSettings(last_shard=shard - 1).has(AGENT)
    settlements = Settlements(interval_s=0.0)
    settlements.load((AGENT, SPOOL), 0, [])
    receiver, known = MemoryReceiver(), receipts(Peers())
    sender = ReceiptSender(
        receiver,
        settlements,
        known,
        Metrics(),
        monotonic_s=lambda: 0.0,
        is_ours=SessionSettings(last_shard=shard - 1).has,
    )
    about = delivery(
        state.encode(state.State(True, "test", spools=[told(9)], reads=[state.RECEIPT_2]))
    )
    about.topic = topics.state(AGENT)
    sender.heard(about)
    sender.send_all()
    assert (receiver.published, settlements.is_behind((AGENT, SPOOL), 9)) == ([], True)
    assert known.heard(AGENT, reads_proven=True)

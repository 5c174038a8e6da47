"""Receipts: each agent gets the form that it reads, and none while that is unknown."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission.permissions import JSON, NO_KEY, SEALED, Permissions
from ingest.metrics import Metrics
from ingest.mqtt.session import SessionSettings
from ingest.receipt_sender import ReceiptSender
from ingest.receipts.floors import Floors, Ignored
from ingest.receipts.receipts import Proofs, Receipts, Wait
from ingest.receipts.settle import Settlements
from tests.fakes.ingest import (
    AGENT,
    LEASE_KEY,
    LEASE_PUBLIC,
    SPOOL,
    MemoryReceiver,
    changes,
    delivery,
    knowing,
)
from wire import agreement, receipt, state, topics
from wire.errors import BadProof, WeakKey
from wire.receipt import MAX_SPOOLS, SpoolReceipt
from wire.state import SpoolState

NEW = X25519PrivateKey.from_private_bytes(bytes(range(32)))
OLD = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SPOOLS = [SpoolReceipt(SPOOL, 7)]
OTHER = "f" * 16


class Peers:
    """The agents' standings and keys, as the test sets them."""

    def __init__(self, standing: int = SEALED, lease_key: bytes = LEASE_PUBLIC) -> None:
        self.standing, self.lease_key = standing, lease_key
        self.asked = 0
        """Number of look-ups of an agent."""

    def __call__(self, agents: object) -> list[tuple[int, bytes]]:
        """Return the same for each agent."""
        assert isinstance(agents, list)
        self.asked += len(agents)
        return [(self.standing, self.lease_key)] * len(agents)


def shared(key: X25519PrivateKey) -> agreement.Agreement:
    """Return the agreement of the agent with ingest's *key*."""
    return agreement.of_agent(LEASE_KEY, key.public_key().public_bytes_raw(), AGENT)


def receipts(peers: Peers, *, max_agents: int = 8) -> Receipts:
    """Return the receipts of an ingest with two keys."""
    return Receipts(Proofs([NEW, OLD]), peers, max_agents=max_agents)


def test_an_agent_that_reads_proofs_gets_one_under_each_key() -> None:
    """
    An agent that reads proofs gets one under each key, because it may pin the new or the
    old one.
    """
    found = receipts(Peers())
    assert found.heard(AGENT, reads_proven=True)
    ((agent, payload),) = found.write([(AGENT, SPOOLS)])
    assert agent == AGENT
    assert receipt.decode_proven(payload, [shared(OLD)]) == SPOOLS
    assert receipt.decode_proven(payload, [shared(NEW)]) == SPOOLS
    with pytest.raises(BadProof):
        receipt.decode_proven(payload, [shared(X25519PrivateKey.generate())])


def test_an_agent_of_before_gets_what_it_reads() -> None:
    """An agent of an earlier version gets the first form, whether its key is known or not."""
    found = receipts(Peers())
    found.heard(AGENT, reads_proven=False)
    ((_, payload),) = found.write([(AGENT, SPOOLS)])
    assert receipt.decode(payload).spools == SPOOLS


def test_a_device_that_sends_json_needs_no_state() -> None:
    """A device that sends JSON gets receipts without publishing a state."""
    found = receipts(Peers(JSON, NO_KEY))
    ((_, payload),) = found.write([(AGENT, SPOOLS)])
    assert receipt.decode(payload).spools == SPOOLS


@pytest.mark.parametrize(
    ("heard", "lease_key", "why"),
    [
        pytest.param(None, LEASE_PUBLIC, Wait.NO_STATE, id="not heard of"),
        pytest.param(True, NO_KEY, Wait.NO_KEY, id="no key"),
        pytest.param(True, b"\x01" + bytes(31), Wait.WEAK_KEY, id="small order"),
    ],
)
def test_what_an_agent_might_not_believe_is_not_sent(
    heard: bool | None, lease_key: bytes, why: Wait
) -> None:
    """
    A receipt in an unknown form is not sent but counted as waiting, and goes out once the form is
    known.
    """
    peers = Peers(lease_key=lease_key)
    found = receipts(peers)
    if heard is not None:
        found.heard(AGENT, reads_proven=heard)
    assert found.write([(AGENT, SPOOLS)]) == []
    assert found.write([(AGENT, SPOOLS)]) == []
    assert {one: count for one, count in found.waiting.items() if count} == {why: 1}
    is_of_key = why is not Wait.NO_STATE
    assert found.recognised([OTHER, AGENT]) == [AGENT]
    assert found.recognised([OTHER, AGENT]) == []
    peers.lease_key = LEASE_PUBLIC
    assert found.heard(AGENT, reads_proven=True) is not is_of_key
    assert len(found.write([(AGENT, SPOOLS)])) == 1
    assert not any(found.waiting.values())
    assert not found.has_waiting


def test_news_is_what_changes_the_form() -> None:
    """A state that changes the form makes a receipt due; a repeated state does not."""
    found = receipts(Peers())
    assert found.heard(AGENT, reads_proven=False)
    assert not found.heard(AGENT, reads_proven=False)
    assert found.heard(AGENT, reads_proven=True)
    assert found.heard(AGENT, reads_proven=False)


def test_an_agent_that_is_not_heard_is_not_looked_up_for_each_receipt() -> None:
    """
    An agent whose state is not known is looked up once, not for each receipt, until it is
    recognised.
    """
    peers = Peers()
    found = receipts(peers)
    for _ in range(3):
        assert found.write([(AGENT, SPOOLS)]) == []
    assert peers.asked == 1
    # Trust has allowed JSON for the agent; a device that sends JSON need not publish a state.
    peers.standing, peers.lease_key = JSON, NO_KEY
    assert found.recognised([AGENT]) == [AGENT]
    assert len(found.write([(AGENT, SPOOLS)])) == 1


@pytest.mark.parametrize(
    ("peers", "reads_proven", "agreements"),
    [
        pytest.param(Peers(), None, 2, id="not heard"),
        pytest.param(Peers(), True, 2, id="reads proofs"),
        pytest.param(Peers(), False, 0, id="reads none"),
        pytest.param(Peers(lease_key=NO_KEY), True, 0, id="no key"),
        pytest.param(Peers(JSON), None, 0, id="json"),
        pytest.param(Peers(lease_key=b"\x01" + bytes(31)), True, 1, id="small order"),
    ],
)
def test_keys_are_agreed_on_before_the_first_receipt(
    peers: Peers, reads_proven: bool | None, agreements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    `prepare` agrees on the keys of an agent, so its first receipt needs no agreement; an agent
    that reads no proofs causes none.
    """
    agreed: list[str] = []

    def counted(key: X25519PrivateKey, lease_public: bytes, agent: str) -> agreement.Agreement:
        agreed.append(agent)
        return genuine(key, lease_public, agent)

    genuine = agreement.of_ingest
    monkeypatch.setattr(agreement, "of_ingest", counted)
    found = receipts(peers)
    if reads_proven is not None:
        found.heard(AGENT, reads_proven=reads_proven)
    found.prepare([AGENT])
    assert len(agreed) == agreements
    found.heard(AGENT, reads_proven=agreements == 2)
    found.write([(AGENT, SPOOLS)])
    assert len(agreed) == agreements


def test_what_is_remembered_of_agents_is_bounded() -> None:
    """The number of remembered agents and waiting receipts is limited."""
    found = receipts(Peers(lease_key=NO_KEY), max_agents=4)
    agents = [f"{number:016x}" for number in range(10)]
    for agent in agents:
        found.heard(agent, reads_proven=True)
        found.write([(agent, SPOOLS)])
    assert sum(found.waiting.values()) == 4
    assert found.recognised(agents) == agents[-4:]
    # Forgotten agents count as unknown.
    found.write([(agents[0], SPOOLS)])
    assert found.waiting[Wait.NO_STATE] == 1


def test_keys_are_agreed_on_once_and_forgotten_in_time() -> None:
    """Shared keys are cached for a limited time, because X25519 costs more than a receipt."""
    proofs = Proofs([NEW], max_agents=4)
    first = proofs.with_agent(AGENT, LEASE_PUBLIC)
    assert proofs.with_agent(AGENT, LEASE_PUBLIC) is first
    for number in range(3):
        proofs.with_agent(f"{number:016x}", LEASE_PUBLIC)
    assert proofs.with_agent(AGENT, LEASE_PUBLIC) is first
    for number in range(8):
        proofs.with_agent(f"{number:016x}", LEASE_PUBLIC)
    assert proofs.with_agent(AGENT, LEASE_PUBLIC) is not first
    assert len(proofs._known) + len(proofs._older) <= 4
    with pytest.raises(WeakKey):
        proofs.with_agent(AGENT, bytes(32))


def test_another_lease_key_is_another_agreement() -> None:
    """A changed lease key gives another agreement, and older proofs are not reused."""
    proofs = Proofs([NEW])
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    assert proofs.with_agent(AGENT, LEASE_PUBLIC) != proofs.with_agent(AGENT, other)


def test_peers_are_what_permissions_tell() -> None:
    """
    Standing and key come from the permissions; an unknown agent has none, and a later key is
    noticed.
    """
    permissions = knowing()
    unknown = (0, NO_KEY)
    assert permissions.peers([AGENT, OTHER]) == [(SEALED, LEASE_PUBLIC), unknown]
    permissions.apply(changes(2, agents=[(OTHER, "json"), (AGENT, "sealed")], lease_key=NO_KEY))
    assert permissions.peers([AGENT, OTHER]) == [(SEALED, NO_KEY), (JSON, NO_KEY)]
    permissions.apply(changes(3, agents=[(AGENT, "sealed")]))
    assert permissions.peers([AGENT]) == [(SEALED, LEASE_PUBLIC)]
    assert np.all(permissions.peers([OTHER])[0][1] == NO_KEY)


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

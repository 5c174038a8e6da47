"""Receipts: each agent gets the form that it reads, and none while that is unknown."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ingest.admission.permissions import JSON, NO_KEY, SEALED
from ingest.receipts.receipts import Proofs, Wait
from tests.fakes.ingest import (
    AGENT,
    LEASE_PUBLIC,
    changes,
    knowing,
)
from tests.support.benches.receipts import NEW, OLD, OTHER, SPOOLS, Peers, receipts, shared
from wire import agreement, receipt
from wire.errors import BadProof, WeakKey


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

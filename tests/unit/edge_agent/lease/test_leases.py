"""The lease that the agent holds: signed by trust, for this agent, and never an older one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.errors import LeaseRefused, RolledBack
from edge_agent.lease.leases import KEPT_FOR_MS, FileLeaseStore, Leases, LeaseStore
from edge_agent.values.timekeeping import TOLERANCE_MS, may_measure
from tests.fakes.edge_agent import HOUR_MS, MemoryShelf, grant, lease
from wire import lease as wire_lease
from wire.lease import Lease

TRUST = Ed25519PrivateKey.from_private_bytes(bytes(32))
AGENT = X25519PrivateKey.from_private_bytes(bytes(range(32)))
START_MS = 1_767_225_600_000


def seal(held: Lease, *, trust: Ed25519PrivateKey = TRUST) -> bytes:
    """Return *held* as it is published."""
    return wire_lease.encode(held, trust_key=trust, agent_key=AGENT.public_key())


def begin(lease_store: LeaseStore) -> Leases:
    """Return the leases of a newly started process."""
    return Leases(
        agent="0" * 16, trust_key=TRUST.public_key(), agent_key=AGENT, lease_store=lease_store
    )


def test_newer_takes_over_and_is_recalled() -> None:
    """The newest lease is held, also after a restart, with those before it."""
    lease_store = MemoryShelf()
    leases = begin(lease_store)
    leases.recall()
    assert (leases.held, leases.version) == (None, 0)
    for version in (1, 3):
        assert leases.offer(seal(lease(version=version))) == lease(version=version)
        assert not leases.is_saved
        leases.save()
    again = begin(lease_store)
    again.recall()
    assert again.version == 3
    assert again.past == [lease(version=1)]
    assert again.is_saved


def test_same_is_no_change() -> None:
    """The same lease, published again or sealed again, changes nothing."""
    leases = begin(MemoryShelf())
    sealed = seal(lease(version=2))
    leases.offer(sealed)
    assert leases.offer(sealed) is None
    assert leases.offer(seal(lease(version=2))) is None


@pytest.mark.parametrize(
    "sealed",
    [
        pytest.param(seal(lease(version=4)), id="older"),
        pytest.param(seal(lease(grant(), version=5)), id="of the same version, another"),
        pytest.param(seal(lease(version=9), trust=Ed25519PrivateKey.generate()), id="stranger's"),
        pytest.param(seal(lease(version=9, agent="1" * 16)), id="another agent's"),
        pytest.param(seal(lease(version=9))[:-1], id="torn"),
        pytest.param(b"", id="empty"),
        pytest.param(bytes(1 << 21), id="too large"),
    ],
)
def test_refused_leaves_what_is_held(sealed: bytes) -> None:
    """An invalid, foreign or older lease changes nothing, even after a restart."""
    lease_store = MemoryShelf()
    leases = begin(lease_store)
    leases.offer(seal(lease(version=5)))
    leases.save()
    again = begin(lease_store)
    again.recall()
    for each in (leases, again):
        with pytest.raises(LeaseRefused):
            each.offer(sealed)
        assert each.held == lease(version=5)


def test_rollback_is_known_even_when_the_lease_is_not_readable() -> None:
    """The highest version is remembered, even if its lease can no longer be opened."""
    lease_store = MemoryShelf()
    leases = begin(lease_store)
    leases.offer(seal(lease(version=5)))
    leases.save()
    assert lease_store.data is not None
    lease_store.data = lease_store.data[:-1] + bytes([lease_store.data[-1] ^ 1])
    again = begin(lease_store)
    with pytest.raises(LeaseRefused):
        again.recall()
    assert again.held is None
    with pytest.raises(RolledBack):
        again.offer(seal(lease(version=4)))
    assert again.offer(seal(lease(version=5))) is not None


class BusyShelf(MemoryShelf):
    """A shelf that runs a callback while it is written to."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def write(self, data: bytes) -> None:
        super().write(data)
        self._meanwhile()


def test_a_lease_that_comes_while_another_is_saved_is_not_saved_yet() -> None:
    """If a second lease comes while the first is being saved, the disk finally has the second."""
    lease_store = BusyShelf(lambda: leases.offer(seal(lease(version=2))))
    leases = begin(lease_store)
    leases.offer(seal(lease(version=1)))
    leases.save()
    assert not leases.is_saved
    leases.save()
    again = begin(MemoryShelf(lease_store.data))
    again.recall()
    assert again.version == 2


def test_unreadable_shelf_holds_nothing() -> None:
    """An unreadable file of leases is refused."""
    with pytest.raises(LeaseRefused):
        begin(MemoryShelf(b"rubbish")).recall()


def test_past_leases_are_forgotten_in_time() -> None:
    """Leases that ended long ago are forgotten, and at most a limited number is kept."""
    leases = begin(MemoryShelf())
    leases.offer(seal(lease(version=1)))
    leases.offer(seal(lease(version=2, issued_at_ms=START_MS + HOUR_MS + KEPT_FOR_MS - 1)))
    assert [old.version for old in leases.past] == [1]
    leases.offer(seal(lease(version=3, issued_at_ms=START_MS + HOUR_MS + KEPT_FOR_MS)))
    assert [old.version for old in leases.past] == [2]
    for version in range(4, 80):
        issued = START_MS + HOUR_MS + KEPT_FOR_MS
        leases.offer(seal(lease(version=version, issued_at_ms=issued)))
    assert len(leases.past) == 63


def test_file_shelf_replaces_whole(tmp_path: Path) -> None:
    """
    The file is replaced completely, is readable by this user only, and leaves no file
    beside it.
    """
    lease_store = FileLeaseStore(tmp_path)
    assert lease_store.read() is None
    lease_store.write(b"one")
    lease_store.write(b"two")
    assert lease_store.read() == b"two"
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("now_ms", "expected"),
    [
        pytest.param(START_MS, True, id="issued just now"),
        pytest.param(START_MS - TOLERANCE_MS, True, id="our clock is a little behind"),
        pytest.param(START_MS - TOLERANCE_MS - 1, False, id="our clock is not to be believed"),
        pytest.param(START_MS + HOUR_MS - 1, True, id="the last instant"),
        pytest.param(START_MS + HOUR_MS, False, id="ended"),
    ],
)
def test_may_measure_in_its_time(now_ms: int, expected: bool) -> None:
    """A lease permits measuring from its issue until its end, by a clock that can be trusted."""
    assert may_measure(lease(), now_ms=now_ms) is expected
    assert not may_measure(None, now_ms=now_ms)

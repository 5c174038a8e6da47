"""
Trust without a server: vault, permissions and reconciler in memory, and a clock that the test
sets.
"""

import datetime as dt
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.fakes.telemetry import MemoryPermissions, MemoryWitness
from tests.fakes.vault.vault import MemoryVault
from tests.support.vault_rows import PURPOSE, add_agent, add_handle, add_subject, decide
from trust.config import LeaseSettings
from trust.decisions.decisions import State
from trust.domain.units import Cause
from trust.ports import Keys
from trust.reconcile.reconciler import UnguardedReconciler

T0: Final = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TTL_S: Final = 3600.0


def new_lease_key() -> bytes:
    """Return the public half of a new lease key."""
    return X25519PrivateKey.generate().public_key().public_bytes_raw()


class Clinic:
    """A vault, permissions and a reconciler in one process, with a clock that the test sets."""

    def __init__(self, keys: Keys) -> None:
        self.at = T0
        self.vault = MemoryVault(keys, self.now)
        self.telemetry = MemoryPermissions(self.now)
        self.witness = MemoryWitness()
        self.reconciler = UnguardedReconciler(
            self.vault,
            self.telemetry,
            keys,
            witness=self.witness,
            controller="clinic.example",
            lease=LeaseSettings(ttl_s=TTL_S),
            clock=self.now,
        )

    def now(self) -> dt.datetime:
        """Return the time of this test."""
        return self.at

    def wait(self, **parts: float) -> None:
        """Advance the clock."""
        self.at += dt.timedelta(**parts)

    def enrol(self, *, lease_key: bytes | None = None) -> str:
        """Add a gateway that reads sealed leases."""
        with self.vault.transaction() as records:
            return add_agent(records, lease_key=lease_key or new_lease_key())

    def accept(self, agent: str) -> tuple[UUID, bytes]:
        """Record the consent of a new person at *agent*; return the person and their handle."""
        with self.vault.transaction() as records:
            subject = add_subject(records)
            handle = add_handle(records, decide(records, subject, at=self.at), agent)
            records.leases.mark_stale([agent])
        return subject, handle.handle

    def withdraw(self, subject: UUID) -> None:
        """Record a withdrawal in the vault only."""
        with self.vault.transaction() as records:
            agents = records.handles.agents_of(subject, PURPOSE)
            decide(records, subject, State.WITHDRAWN, at=self.at)
            records.handles.end(subject, PURPOSE)
            records.leases.mark_stale(agents)

    def unfinished(self) -> list[str]:
        """Return the agents that the daemon finds unfinished a second later."""
        self.wait(seconds=1)
        return self.reconciler.unfinished(older_than=dt.timedelta(0), limit=100)

    def set_aside(self) -> dict[str, set[Cause]]:
        """Return the causes of failures, by gateway."""
        with self.vault.transaction() as records:
            rows = records.set_aside.all(limit=100)
        found: dict[str, set[Cause]] = {}
        for row in rows:
            found.setdefault(row.stands_in, set()).add(row.failure.cause)
        return found

    def lease_versions(self) -> dict[str, int]:
        """Return the version of each lease that waits for the broker."""
        with self.vault.transaction() as records:
            waiting = records.leases.unpublished(limit=100)
            return {one.agent: one.version for one in records.leases.of(waiting)}

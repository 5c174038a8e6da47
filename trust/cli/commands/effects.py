"""The effects of a change on permissions and leases, as results show them."""

import msgspec

from trust.cli.format import format_instant
from trust.composition import now
from trust.reconcile.reconciled import Reconciled


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """When permissions ended, and which leases were issued."""

    withdrawn_at: str | None
    committed_at: str
    lease_version: int | None
    """The largest one."""
    leases: dict[str, int]
    """By gateway."""


def effects(what: Reconciled) -> Effects:
    """Return the effects of a reconciliation."""
    return Effects(
        withdrawn_at=None if what.withdrawn_at is None else format_instant(what.withdrawn_at),
        # When the daemon was faster, only an upper bound of the time is known: now.
        committed_at=format_instant(what.committed_at or now()),
        lease_version=max(what.versions.values(), default=None),
        leases=what.versions,
    )

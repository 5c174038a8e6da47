"""The telemetry database for reconciliation, in memory: permissions, leases and witnesses."""

from collections.abc import Callable, Mapping, Sequence, Set

from trust.decisions.permissions import Permission
from trust.errors import TelemetryUnavailable
from trust.ports import Clock
from trust.reconcile.ports import PermissionStore, RecordWitness
from trust.telemetry.permissions import Change, WrittenPermissions
from trust.vault.records.decisions import Chain


class MemoryPermissions(PermissionStore):
    """
    Permissions in memory: either all changes of a call are written, or none.

    Args:
        clock: Returns the time of the database.
    """

    def __init__(self, clock: Clock) -> None:
        self.permitted: dict[str, list[Permission]] = {}
        """The permissions in force, by agent."""
        self.versions: dict[str, int] = {}
        """The version of the newest lease of each agent."""
        self.lease_keys: dict[str, bytes | None] = {}
        self.refused: dict[str, Exception] = {}
        """The error that writing anything about an agent raises."""
        self.before_write: Callable[[Sequence[Change]], None] = lambda changes: None
        self.after_write: Callable[[], None] = lambda: None
        """Called when the changes are committed, before the caller knows it."""
        self._now = clock

    def handles_of(self, agent: str) -> set[bytes]:
        """Return the handles under which data of *agent* may be stored."""
        return {permission.handle for permission in self.permitted.get(agent, [])}

    def check(self) -> None:
        """Do nothing: the memory is always available."""

    def write(self, changes: Sequence[Change]) -> WrittenPermissions:
        self.before_write(changes)
        for change in changes:
            if change.agent in self.refused:
                raise self.refused[change.agent]
        written = [self._write(change) for change in changes]
        self.after_write()
        leased = [change.agent for change in changes if change.term is not None]
        versions = {agent: self.versions[agent] for agent in leased}
        return WrittenPermissions(versions, self._now() if any(written) else None)

    def _write(self, change: Change) -> bool:
        """Write *change*; return whether it withdraws something."""
        before = self.permitted.get(change.agent, [])
        held = [permission for permission in before if permission.handle in change.held]
        self.permitted[change.agent] = [*held, *change.permissions]
        if change.format is not None:
            self.lease_keys[change.agent] = change.lease_key
        if change.term is not None:
            highest = max(self.versions.get(change.agent, 0), change.lease_version)
            self.versions[change.agent] = highest + 1
        kept = self.handles_of(change.agent)
        return any(permission.handle not in kept for permission in before)

    def without_lease_key(self, *, after: str, limit: int) -> list[str]:
        missing = [agent for agent, key in self.lease_keys.items() if key is None]
        return sorted(agent for agent in missing if agent > after)[:limit]

    def write_lease_keys(self, keys: Mapping[str, bytes]) -> None:
        for agent, key in keys.items():
            self.lease_keys[agent] = self.lease_keys.get(agent) or key


class MemoryWitness(RecordWitness):
    """A witness in memory."""

    def __init__(self) -> None:
        self.lengths: dict[Chain, int] = {}
        """The number of decisions that each chain is known to have had."""
        self.registered: dict[str, bytes] = {}

    def cut(self, chains: Mapping[Chain, int]) -> Set[Chain]:
        return {c for c, length in chains.items() if self.lengths.get(c, 0) > length}

    def exchanged(self, agents: Mapping[str, bytes]) -> Set[str]:
        return {a for a, seen in agents.items() if self.registered.setdefault(a, seen) != seen}


def row_refused() -> TelemetryUnavailable:
    """Return the error of a working database that refuses a row."""
    return TelemetryUnavailable("a constraint", is_of_a_row=True)

"""
Which leases wait for the broker, which it has, and which are set aside, as the vault keeps it.

A lease that the vault cannot read costs its gateway alone: it is set aside, and the others are
published.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runtime.logs import Log
from trust.domain.units import Cause, Failure, UnitKind, Work, gateway
from trust.metrics import Metrics
from trust.ports import SealedLease
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault

_log: Final = Log("trust.reconcile.publication_register")


class PublicationRegister:
    """
    The leases in the vault, as the publisher reads and marks them.

    Args:
        vault: The vault, in the thread of the publisher.

        metrics: The metrics that are updated.

        at_once: The maximum number of leases, or of gateways, that one call returns.
    """

    def __init__(self, vault: Vault, metrics: Metrics, *, at_once: int) -> None:
        self._vault = vault
        self._metrics = metrics
        self._at_once = at_once

    def unpublished(self, *, without: Sequence[str]) -> list[SealedLease]:
        """Return leases that the broker lacks; none of gateways in *without*, none set aside."""
        while True:
            with self._vault.transaction() as records:
                unfinished, unpublished = records.leases.backlog()
                self._metrics.unfinished.set(unfinished)
                self._metrics.unpublished.set(unpublished)
                agents = records.leases.unpublished(without=without, limit=self._at_once)
            leases = self.leases_of(agents)
            if leases or not agents:
                return leases
            # None of them can be read. They are set aside now, so the next ones are found.

    def agents_after(self, after: str) -> list[str]:
        """Return the next gateways by id above *after* with a lease that is not set aside."""
        with self._vault.transaction() as records:
            return records.leases.page(after=after, limit=self._at_once)

    def leases_of(self, agents: Sequence[str]) -> list[SealedLease]:
        """Return the newest lease of each of *agents*; set aside those that cannot be read."""
        leases = attempt(lambda: self._read(agents), kind=UnitKind.GATEWAY)
        if not isinstance(leases, Cause):
            return leases
        found: list[SealedLease] = []
        for agent in agents:
            one = attempt(lambda a=agent: self._read([a]), kind=UnitKind.GATEWAY)  # type: ignore[misc]
            if isinstance(one, Cause):
                self.set_aside([agent], one)
            else:
                found += one
        return found

    def _read(self, agents: Sequence[str]) -> list[SealedLease]:
        with self._vault.transaction() as records:
            return records.leases.of(agents)

    def due_again(self) -> list[str]:
        """Return gateways that were set aside and whose lease is to be tried again now."""
        with self._vault.transaction() as records:
            return records.set_aside.to_publish_again(limit=self._at_once)

    def save(self, leases: Sequence[SealedLease], refused: Mapping[str, Cause]) -> None:
        """Record that the broker has *leases*, except those that it *refused*, by gateway."""
        failures = {
            agent: {Failure(gateway(agent), refused[agent])} if agent in refused else set()
            for agent in (lease.agent for lease in leases)
        }
        with self._vault.transaction() as records:
            records.leases.save_published(lease for lease in leases if lease.agent not in refused)
            records.set_aside.replace(Work.PUBLICATION, failures)
        for found in failures.values():
            self._metrics.count_failures(found)
        _log.debug("published", leases=len(leases) - len(refused))

    def set_aside(self, agents: Iterable[str], cause: Cause) -> None:
        """Record that no lease of *agents* can be published, because of *cause*."""
        failures = {agent: {Failure(gateway(agent), cause)} for agent in agents}
        with self._vault.transaction() as records:
            records.set_aside.replace(Work.PUBLICATION, failures)
        for found in failures.values():
            self._metrics.count_failures(found)

    def note_padded(self, agents: Sequence[str]) -> None:
        """Record that *agents* read padded leases; their next lease is padded."""
        noted = attempt(lambda: self._save_padded(agents), kind=UnitKind.GATEWAY)
        if isinstance(noted, Cause) and len(agents) > 1:
            # One agent made the common transaction fail, so each agent gets its own.
            for agent in agents:
                self.note_padded([agent])

    def _save_padded(self, agents: Sequence[str]) -> None:
        with self._vault.transaction() as records:
            noted = records.leases.note_padded(agents)
        if noted:
            _log.info("read_padded", agents=noted)

"""
Upkeep: brings the telemetry database, and the leases, to what the vault says.

The vault is the truth, and is written first. What is done here can be cut off at any instruction
and done again: `applied < wanted` on an agent's row says that it must be. The row is locked
throughout, so that no two processes write about one agent at once, and no older truth is written
after a newer one.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from runtime.logs import Log
from trust import decisions, leases
from trust.config import LeaseSettings
from trust.errors import Tampered
from trust.handles import Standing
from trust.leases import Term
from trust.permissions import compile_permissions
from trust.pki import CLOCKS_APART
from trust.ports import Clock, Keys, SealedLease
from trust.pseudonyms import pseudonymise
from trust.records import Agent, Handle, Records
from trust.telemetry import Change, Telemetry
from trust.vault import Vault
from trust.witness import Chain
from wire import lease as wire_lease

_log: Final = Log("trust.upkeep")


class Done(msgspec.Struct, frozen=True):
    """What upkeep did."""

    committed_at: dt.datetime | None = None
    """The time just after the COMMIT in the telemetry database returned; None for no change."""
    withdrawn_at: dt.datetime | None = None
    versions: dict[str, int] = {}
    """Of the newest lease of each agent."""


class _Plan(msgspec.Struct, frozen=True):
    agent: Agent
    standings: list[Standing]
    term: Term | None


class Upkeep:
    """
    Writes what follows from the vault.

    Args:
        vault: The truth.

        telemetry: What is brought to it.

        keys: For pseudonyms, and to sign leases.

        controller: Who answers for the processing.

        lease: How long leases last.

        clock: Tells the time.
    """

    def __init__(
        self,
        vault: Vault,
        telemetry: Telemetry,
        keys: Keys,
        *,
        controller: str,
        lease: LeaseSettings,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._telemetry = telemetry
        self._keys = keys
        self._controller = controller
        self._lease = lease
        self._clock = clock
        self.guard: Callable[[], None] = lambda: None
        """Called before the telemetry database is written to; raises when it must not be."""
        self.cut: Callable[[Mapping[Chain, int]], Set[Chain]] = lambda chains: frozenset()
        """Returns the chains of decisions that had more decisions than so many."""
        self.exchanged: Callable[[Mapping[str, bytes]], Set[str]] = lambda agents: frozenset()
        """Returns the agents that were registered otherwise before."""

    def bring(self, agents: Sequence[str], *, renew: bool = False) -> Done:
        """
        Bring everything about *agents* up to date; with *renew*, issue new leases in any case.

        Raises:
            VaultUnavailable: Some of it may be done; do it again later.
            TelemetryUnavailable: Nothing is done; do it again later.
            Tampered: A record of the vault is not ours.
        """
        self.guard()
        with self._vault.transaction() as records:
            locked = records.lock_agents(agents)
            now = self._clock()
            stale = [a for a in locked if renew or _is_stale(a, now=now)]
            if not stale:
                return Done(versions={a.agent: a.lease_version for a in locked})
            plans = self._plan(records, stale, now=now)
            written = self._telemetry.write([_change(plan) for plan in plans])
            committed_at = self._clock()
            for plan in plans:
                self._save(records, plan, version=written.versions.get(plan.agent.agent))
        return Done(committed_at, written.withdrawn_at, written.versions)

    def unfinished(
        self, *, older_than: dt.timedelta, limit: int, without: Sequence[str] = ()
    ) -> list[str]:
        """
        Return agents that a process left unfinished, or whose next lease is due.

        Args:
            older_than: How long ago a change must be for its process to be taken for dead.

            limit: How many of each.

            without: Agents that are left as they are.
        """
        with self._vault.transaction() as records:
            left = records.unfinished(older_than=older_than, without=without, limit=limit)
            due = records.due(now=self._clock(), without=without, limit=limit)
            return list(dict.fromkeys(left + due))

    def check(self) -> None:
        """
        Return if the telemetry database is there, and may be written to.

        Raises:
            TelemetryUnavailable: It is not.
        """
        self._telemetry.check()
        self.guard()

    def _plan(self, records: Records, agents: list[Agent], *, now: dt.datetime) -> list[_Plan]:
        if self.exchanged({agent.agent: agent.registered for agent in agents}):
            raise Tampered("the registration of an agent")
        names = [agent.agent for agent in agents]
        chains = self._whole(records.decisions_of(names))
        by_agent: dict[str, list[Standing]] = {name: [] for name in names}
        for handle in records.handles(names):
            standing = self._standing(
                records, handle, chains.get((handle.subject, handle.purpose), [])
            )
            if standing is not None:
                by_agent[handle.agent].append(standing)
        return [self._plan_one(agent, by_agent[agent.agent], now=now) for agent in agents]

    def _whole(
        self, chains: Mapping[Chain, list[decisions.Decision]]
    ) -> dict[Chain, list[decisions.Decision]]:
        """
        Return *chains* without those that had more decisions: their last one is not the last.

        None of them grows meanwhile: who decides takes the lock of every agent with a handle.
        """
        cut = self.cut({chain: len(taken) for chain, taken in chains.items()})
        if cut:
            _log.error("decisions_missing", chains=len(cut))
        return {chain: taken for chain, taken in chains.items() if chain not in cut}

    def _plan_one(self, agent: Agent, standings: list[Standing], *, now: dt.datetime) -> _Plan:
        # An agent that nobody was ever measured with has no lease, and needs none to say so.
        if not standings and not agent.lease_version:
            return _Plan(agent, standings, None)
        ttl = dt.timedelta(seconds=self._lease.ttl_s)
        term = leases.term(standings, now=now, ttl=ttl, refresh_at=self._lease.refresh_at)
        return _Plan(agent, standings, term)

    def _standing(
        self, records: Records, handle: Handle, chain: list[decisions.Decision]
    ) -> Standing | None:
        scope = decisions.scope_since(chain, handle.decision)
        if scope is None:
            return None
        first, *later = decisions.versions_since(chain, handle.decision)
        pseudonym = pseudonymise(
            handle.subject,
            key=self._keys.pseudonym_key(purpose=handle.purpose, epoch=handle.key_epoch),
            controller=self._controller,
            purpose=handle.purpose,
            epoch=handle.key_epoch,
        )
        return Standing(
            handle.handle,
            handle.subject,
            pseudonym,
            records.purpose(handle.purpose, first),
            handle.bindings,
            scope,
            [records.purpose(handle.purpose, version) for version in later],
        )

    def _save(self, records: Records, plan: _Plan, *, version: int | None) -> None:
        agent, term = plan.agent, plan.term
        records.save_applied(agent.agent, agent.wanted)
        if term is None or version is None:
            return
        records.save_lease(
            self._seal(plan, term, version=version),
            agent.agent,
            version=version,
            term=(term.not_after, term.due_at),
        )

    def _seal(self, plan: _Plan, term: Term, *, version: int) -> SealedLease | None:
        if plan.agent.lease_key is None:
            return None
        name = plan.agent.agent
        lease = leases.compile_lease(name, plan.standings, version=version, in_term=term)
        sealed = wire_lease.encode(
            lease,
            trust_key=self._keys.signing_key,
            agent_key=X25519PublicKey.from_public_bytes(plan.agent.lease_key),
        )
        return SealedLease(name, version, sealed)


def _is_stale(agent: Agent, *, now: dt.datetime) -> bool:
    return agent.applied < agent.wanted or (agent.due_at is not None and agent.due_at <= now)


def _change(plan: _Plan) -> Change:
    ends = plan.agent.certified_until
    return Change(
        agent=plan.agent.agent,
        format=plan.agent.format,
        revoked_at=plan.agent.revoked_at,
        permissions=compile_permissions(plan.standings),
        term=plan.term,
        lease_version=plan.agent.lease_version,
        expires_at=None if ends is None else ends + CLOCKS_APART,
    )

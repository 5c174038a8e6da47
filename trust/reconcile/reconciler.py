"""
Reconciles the telemetry database and the leases with the vault.

The vault is the source of truth and is written first. The work of this module may stop at any
instruction and be repeated: `applied < wanted` on an agent's row says that it must be repeated.
The row is locked throughout, so that two processes never write about one agent at once, and an
older state is never written after a newer one.

A telemetry database that was started or restored is closed until the restore guard has cleared it.
`Reconciler` asks the guard before it writes; every procedure uses it. `UnguardedReconciler` does
the work without asking; only the restore guard uses it, to clear the database.
"""

import datetime as dt
from collections.abc import Mapping, Sequence, Set
from typing import Final, Protocol

import msgspec

from runtime.logs import Log
from trust.config import LeaseSettings
from trust.decisions import leases
from trust.decisions.leases import Term
from trust.domain.lease_keys import is_lease_key, public_key
from trust.domain.units import Cause, Failure, UnitKind, Work, gateway
from trust.errors import LeaseTooLarge
from trust.ports import Clock, Keys, SealedLease
from trust.reconcile.planner import GatewayPlan, Planner, to_change, without_lease
from trust.reconcile.ports import PermissionStore, RecordWitness
from trust.reconcile.reconciled import Reconciled, together
from trust.telemetry.permissions import Change, WrittenPermissions
from trust.vault.isolation import attempt, attempt_within
from trust.vault.protocols import Records, Vault
from trust.vault.records.agents import Agent
from trust.vault.records.decisions import Chain
from trust.vault.records.handles import Handle
from wire import lease as wire_lease

_log: Final = Log("trust.reconcile.reconciler")
_AT_ONCE: Final = 500


class Guard(Protocol):
    """Decides whether the telemetry database may be written to."""

    def ensure(self) -> None:
        """
        Ensure that the telemetry database may be written to; clear it first if it is closed.

        Raises:
            Unavailable: The database may not be written to yet; call again later.
        """
        ...


class UnguardedReconciler:
    """
    Writes the plans from the vault, even to a closed telemetry database.

    Args:
        vault: The vault, the source of truth.

        telemetry: The telemetry database, which follows the vault.

        keys: The keys that derive pseudonyms and sign leases.

        witness: Remembers decisions and registrations outside the vault: a chain that lost its
            last decisions permits nothing, and a gateway whose key was exchanged gets no lease.

        controller: The organisation that answers for the processing.

        lease: How long leases last.

        clock: Returns the current time.
    """

    def __init__(  # noqa: PLR0913 - it stands between both databases and all keys
        self,
        vault: Vault,
        telemetry: PermissionStore,
        keys: Keys,
        *,
        witness: RecordWitness,
        controller: str,
        lease: LeaseSettings,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._telemetry = telemetry
        self._keys = keys
        self._witness = witness
        self._lease = lease
        self._clock = clock
        self._planner = Planner(keys, controller=controller, lease=lease)

    def reconcile(self, agents: Sequence[str], *, renew: bool = False) -> Reconciled:
        """Do as `Reconciler.reconcile`, without asking a guard."""
        return self.attempt(agents, renew=renew).check()

    def attempt(self, agents: Sequence[str], *, renew: bool = False) -> Reconciled:
        """Do as `Reconciler.attempt`, without asking a guard."""
        done = attempt(lambda: self._reconcile(agents, renew=renew), kind=UnitKind.GATEWAY)
        if not isinstance(done, Cause):
            return done
        if len(agents) == 1:
            return self._narrow(agents[0], done)
        # One agent made the common transaction fail, so each agent gets its own.
        return together([self._bring_alone(agent, renew=renew) for agent in agents])

    def _bring_alone(self, agent: str, *, renew: bool) -> Reconciled:
        done = attempt(lambda: self._reconcile([agent], renew=renew), kind=UnitKind.GATEWAY)
        return self._narrow(agent, done) if isinstance(done, Cause) else done

    def _reconcile(self, agents: Sequence[str], *, renew: bool) -> Reconciled:
        with self._vault.transaction() as records:
            locked = records.agents.lock(agents)
            now = self._clock()
            failed = records.set_aside.of_agents(Work.LEASE, [a.agent for a in locked])
            stale = [a for a in locked if renew or a.agent in failed or _is_stale(a, now=now)]
            if not stale:
                return Reconciled(versions={a.agent: a.lease_version for a in locked})
            plans = self._plan(records, stale, now=now)
            needed = [p for p in plans if renew or _is_needed(p, failed, now=now)]
            written = self._write(needed)
            committed_at = self._clock()
            failures = {
                p.agent.agent: p.failures
                | self._save(records, p, version=written.versions.get(p.agent.agent))
                for p in needed
            }
            failures = {p.agent.agent: p.failures for p in plans} | failures
            tried = {a.agent: a.wanted for a in locked}
            records.set_aside.replace(Work.LEASE, failures, tried=tried)
            # A new lease is a new attempt to publish, together with all others.
            records.set_aside.replace(Work.PUBLICATION, dict.fromkeys(written.versions, ()))
        return Reconciled(
            committed_at if needed else None,
            written.withdrawn_at,
            written.versions,
            {agent: found for agent, found in failures.items() if found},
        )

    def _write(self, plans: Sequence[GatewayPlan]) -> WrittenPermissions:
        if not plans:
            return WrittenPermissions({}, None)
        return self._telemetry.write([to_change(plan) for plan in plans])

    def _narrow(self, agent: str, cause: Cause) -> Reconciled:
        """
        Withdraw the permissions that *agent* lost; set the agent aside, and change nothing
        else.
        """
        with self._vault.transaction() as records:
            # This is read before any record: a later decision may not be seen in this run.
            tried = records.leases.wanted(agent)
        withdrawn = attempt(lambda: self._end(agent), kind=UnitKind.GATEWAY)
        failures = frozenset({Failure(gateway(agent), cause)})
        with self._vault.transaction() as records:
            records.set_aside.replace(Work.LEASE, {agent: failures}, tried={agent: tried})
        if isinstance(withdrawn, Cause):
            return Reconciled(failures={agent: failures}, left=frozenset({agent}))
        return Reconciled(self._clock(), withdrawn, failures={agent: failures})

    def _end(self, agent: str) -> dt.datetime | None:
        with self._vault.transaction() as records:
            found = records.agents.hold(agent)
            if found is None:
                return None
            change = Change.that_ends(agent, held=records.handles.live_at(agent))
            spoken, is_revoked = found
            if is_revoked:
                change = msgspec.structs.replace(change, format=spoken, revoked_at=self._clock())
            return self._telemetry.write([change]).withdrawn_at

    def write_lease_keys(self) -> int:
        """Do as `Reconciler.write_lease_keys`, without asking a guard."""
        written, after = 0, ""
        while names := self._telemetry.without_lease_key(after=after, limit=_AT_ONCE):
            after = names[-1]
            count = attempt(lambda n=names: self._write_lease_keys(n), kind=UnitKind.GATEWAY)  # type: ignore[misc]
            if isinstance(count, Cause):
                # One agent made the others fail; `attempt` sets that agent aside later.
                each = [
                    attempt(lambda n=name: self._write_lease_keys([n]), kind=UnitKind.GATEWAY)  # type: ignore[misc]
                    for name in names
                ]
                count = sum(one for one in each if not isinstance(one, Cause))
            written += count
        if written:
            _log.info("lease_keys_written", agents=written)
        return written

    def _write_lease_keys(self, names: Sequence[str]) -> int:
        with self._vault.transaction() as records:
            agents = records.agents.lock(names)
            # `attempt` finds the agents whose registration was changed.
            exchanged = self._witness.exchanged(
                {agent.agent: agent.registered for agent in agents}
            )
            keys = {
                agent.agent: agent.lease_key
                for agent in agents
                if agent.lease_key is not None
                and is_lease_key(agent.lease_key)
                and agent.agent not in exchanged
            }
            if keys:
                self._telemetry.write_lease_keys(keys)
        return len(keys)

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        """Do as `Reconciler.unfinished`, without asking a guard."""
        with self._vault.transaction() as records:
            left = records.leases.unfinished(older_than=older_than, limit=limit)
            due = records.leases.due(now=self._clock(), limit=limit)
            again = records.set_aside.to_retry(limit=limit)
            return list(dict.fromkeys(left + due + again))

    def check_handle(self, records: Records, agent: Agent, handle: Handle) -> None:
        """Do as `Reconciler.check_handle`, without asking a guard."""
        self._planner.check(records, agent, handle, now=self._clock())

    def check(self) -> None:
        """
        Check that the telemetry database answers; raise otherwise.

        Raises:
            TelemetryUnavailable: The database does not answer.
        """
        self._telemetry.check()

    def _plan(
        self, records: Records, agents: list[Agent], *, now: dt.datetime
    ) -> list[GatewayPlan]:
        exchanged = self._witness.exchanged({agent.agent: agent.registered for agent in agents})
        plans = self._planner.plan(records, agents, cut=self._cut, now=now)
        return [without_lease(p) if p.agent.agent in exchanged else p for p in plans]

    def _cut(self, chains: Mapping[Chain, int]) -> Set[Chain]:
        """Return those of *chains* whose last decisions are missing in the vault."""
        cut = self._witness.cut(chains)
        if cut:
            _log.error("decisions_missing", chains=len(cut))
        return cut

    def _save(self, records: Records, plan: GatewayPlan, *, version: int | None) -> set[Failure]:
        agent, term = plan.agent, plan.term
        records.leases.save_applied(agent.agent, agent.wanted)
        if term is None or version is None:
            return set()
        sealed = attempt_within(
            lambda: self._seal(plan, term, version=version), kind=UnitKind.GATEWAY
        )
        if isinstance(sealed, Cause):
            return {Failure(gateway(agent.agent), sealed)}
        records.leases.save(
            sealed, agent.agent, version=version, term=(term.not_after, term.due_at)
        )
        return set()

    def _seal(self, plan: GatewayPlan, term: Term, *, version: int) -> SealedLease | None:
        if plan.agent.lease_key is None:
            return None
        name = plan.agent.agent
        lease = leases.compile_lease(name, plan.grants, version=version, in_term=term)
        sealed = wire_lease.encode(
            lease,
            trust_key=self._keys.signing_key,
            agent_key=public_key(plan.agent.lease_key),
            multiple_bytes=(
                leases.multiple_bytes(lease, max_packet_bytes=self._lease.max_packet_bytes)
                if plan.agent.reads_padded
                else 0
            ),
        )
        size = leases.sealed_packet_bytes(len(sealed))
        if size > self._lease.max_packet_bytes:
            raise LeaseTooLarge(size_bytes=size, limit_bytes=self._lease.max_packet_bytes)
        return SealedLease(name, version, sealed)


def _is_stale(agent: Agent, *, now: dt.datetime) -> bool:
    return agent.applied < agent.wanted or _is_due(agent, now=now)


def _is_due(agent: Agent, *, now: dt.datetime) -> bool:
    return agent.due_at is not None and agent.due_at <= now


def _is_needed(plan: GatewayPlan, failed: Mapping[str, set[Failure]], *, now: dt.datetime) -> bool:
    """Tell whether *plan* changes anything; an unchanged failure is not written again."""
    agent = plan.agent
    return (
        agent.applied < agent.wanted
        or (plan.term is not None and _is_due(agent, now=now))
        or plan.failures != failed.get(agent.agent, set())
    )


class Reconciler:
    """
    Writes the plans from the vault, once the guard permits writes to the telemetry database.

    Args:
        unguarded: The reconciler that does the work.

        guard: The guard that is asked before each write to the telemetry database.
    """

    def __init__(self, unguarded: UnguardedReconciler, guard: Guard) -> None:
        self._unguarded = unguarded
        self._guard = guard

    def reconcile(self, agents: Sequence[str], *, renew: bool = False) -> Reconciled:
        """
        Do as `attempt`, but raise if ended permissions are not withdrawn everywhere.

        Raises:
            VaultUnavailable: Only some agents may be done; call again later.
            TelemetryUnavailable: Nothing is done; call again later.
            NotInForce: Nothing could be done for some gateway; all others are done.
            TrustError: The telemetry database must not be written to.
        """
        return self.attempt(agents, renew=renew).check()

    def attempt(self, agents: Sequence[str], *, renew: bool = False) -> Reconciled:
        """
        Bring everything about *agents* up to date; with *renew*, issue new leases in any case.

        A faulty agent, person, purpose or key is set aside and named in the result; everything
        else is done. Even after a failure, ended handles permit nothing, except at the agents that
        the result names as left.

        Raises:
            VaultUnavailable: Only some agents may be done; call again later.
            TelemetryUnavailable: Nothing is done; call again later.
            TrustError: The telemetry database must not be written to.
        """
        self._guard.ensure()
        return self._unguarded.attempt(agents, renew=renew)

    def write_lease_keys(self) -> int:
        """
        Write the missing lease keys of agents from earlier releases; return how many.

        Raises:
            Unavailable: Only some keys may be written; call again later.
        """
        self._guard.ensure()
        return self._unguarded.write_lease_keys()

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        """
        Return the agents with an unfinished change, a lease that is due, or a retry that is due.

        Args:
            older_than: The age of a change from which its process counts as dead.

            limit: The maximum number of agents of each kind.
        """
        return self._unguarded.unfinished(older_than=older_than, limit=limit)

    def check_handle(self, records: Records, agent: Agent, handle: Handle) -> None:
        """
        Check that *agent* can measure under *handle*, which was added to it; raise otherwise.

        Raises:
            UnitFault: The gateway's key, the purpose's key or the size of the lease prevents it.
        """
        self._unguarded.check_handle(records, agent, handle)

    def check(self) -> None:
        """
        Check that the telemetry database answers and may be written to; raise otherwise.

        Raises:
            TelemetryUnavailable: The database does not answer.
            TrustError: The database must not be written to.
        """
        self._unguarded.check()
        self._guard.ensure()

"""
Plans the permissions and the lease of each gateway from the records of the vault.

Each handle is planned alone. A handle that cannot be planned (a record does not verify, a key is
missing) is held: no lease contains it, and its permissions in telemetry stay unchanged. All other
handles at the gateway get the permissions that were decided. A handle that has ended is in no
plan, so its permissions end.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final

import msgspec

from trust.config import LeaseSettings
from trust.decisions import decisions, leases
from trust.decisions.decisions import Decision
from trust.decisions.effective_grant import EffectiveGrant
from trust.decisions.leases import Term
from trust.decisions.permissions import Permission, compile_permissions
from trust.domain.lease_keys import public_key
from trust.domain.pki import CLOCKS_APART
from trust.domain.pseudonyms import pseudonymise, source_of
from trust.domain.purposes import Purpose
from trust.domain.units import Cause, Failure, Unit, UnitKind, gateway
from trust.errors import LeaseTooLarge, Unusable
from trust.integrity.witness import Chain
from trust.ports import Keys
from trust.telemetry.permissions import Change
from trust.vault import owned
from trust.vault.isolation import attempt_within
from trust.vault.protocols import Records
from trust.vault.records.agents import Agent
from trust.vault.records.handles import Handle, SealedHandle

Cut = Callable[[Mapping[Chain, int]], Set[Chain]]
_SENT_WITHIN: Final = dt.timedelta(days=30)
"""How long what a sensor measured before it was unbound may still be sent and stored."""
_HIGHEST_VERSION: Final = (1 << 32) - 1
_MOST_BUCKET_BYTES: Final = 4096
"""The limits of a lease that an agent accepts (wire.lease)."""


class GatewayPlan(msgspec.Struct, frozen=True):
    """The permissions and the lease that one gateway should have."""

    agent: Agent
    grants: list[EffectiveGrant]
    permissions: list[Permission]
    held: list[bytes]
    """The handles that cannot be planned."""
    term: Term | None
    """The term of the new lease; None if no lease is due or none can be issued."""
    failures: frozenset[Failure]


def without_lease(plan: GatewayPlan) -> GatewayPlan:
    """Return *plan* without a lease, for a gateway whose registration was changed."""
    failure = Failure(gateway(plan.agent.agent), Cause.REGISTRATION)
    return msgspec.structs.replace(
        plan,
        grants=[],
        permissions=[],
        held=[*plan.held, *(s.handle for s in plan.grants)],
        term=None,
        failures=plan.failures | {failure},
    )


def to_change(plan: GatewayPlan) -> Change:
    """Return the changes of *plan* for the telemetry database."""
    is_exchanged = Failure(gateway(plan.agent.agent), Cause.REGISTRATION) in plan.failures
    if is_exchanged and plan.agent.revoked_at is None:
        return Change.that_ends(plan.agent.agent, held=plan.held)
    ends = plan.agent.certified_until
    return Change(
        agent=plan.agent.agent,
        format=plan.agent.format,
        revoked_at=plan.agent.revoked_at,
        permissions=plan.permissions,
        term=plan.term,
        lease_version=plan.agent.lease_version,
        held=plan.held,
        lease_key=plan.agent.lease_key,
        expires_at=None if ends is None else ends + CLOCKS_APART,
    )


class Planner:
    """
    Makes the plans of gateways.

    Args:
        keys: The keys that pseudonyms are derived from.

        controller: The organisation that answers for the processing.

        lease: How long leases last, and their largest size in bytes.
    """

    def __init__(self, keys: Keys, *, controller: str, lease: LeaseSettings) -> None:
        self._keys = keys
        self._controller = controller
        self._lease = lease

    def plan(
        self, records: Records, agents: Sequence[Agent], *, cut: Cut, now: dt.datetime
    ) -> list[GatewayPlan]:
        """
        Return a plan for each of *agents*.

        Args:
            records: The vault's records, in a transaction that holds the agents' locks.

            agents: The agents, locked in that transaction.

            cut: Returns the chains that are known to have had more decisions than given.

            now: The time of issue of the leases.

        Raises:
            Unavailable: A server fails, or a row cannot be read.
        """
        opener = _Opener(records, self._keys, self._controller, now=now)
        found = opener.open([agent.agent for agent in agents], cut)
        return [self._plan(agent, found[agent.agent], now=now) for agent in agents]

    def _plan(self, agent: Agent, found: "_Found", *, now: dt.datetime) -> GatewayPlan:
        term: Term | None = None
        failures = set(found.failures)
        # An agent without any handle so far has no lease and needs none.
        if found.grants or agent.lease_version:
            made = attempt_within(
                lambda: self._term(agent, found.grants, now=now), kind=UnitKind.GATEWAY
            )
            if not isinstance(made, Cause):
                term = made
            # A revoked gateway with an invalid key never had a sealed lease, and gets none.
            elif agent.revoked_at is None or made is not Cause.LEASE_KEY:
                failures.add(Failure(gateway(agent.agent), made))
        return GatewayPlan(
            agent, found.grants, found.permissions, found.held, term, frozenset(failures)
        )

    def _term(self, agent: Agent, grants: list[EffectiveGrant], *, now: dt.datetime) -> Term:
        """
        Return the term of the next lease of *agent*, if it can be sealed and published.

        Raises:
            BadLeaseKey: The gateway's lease key is invalid.
            LeaseTooLarge: The broker would refuse the lease because of its size.
        """
        ttl = dt.timedelta(seconds=self._lease.ttl_s)
        term = leases.term(grants, now=now, ttl=ttl, refresh_at=self._lease.refresh_at)
        if agent.lease_key is not None:
            public_key(agent.lease_key)
            # The size is checked before anything is written, with the longest version of the wire
            # format.
            lease = leases.compile_lease(
                agent.agent, grants, version=_HIGHEST_VERSION, in_term=term
            )
            size = leases.packet_bytes(lease)
            if size > self._lease.max_packet_bytes:
                raise LeaseTooLarge(size_bytes=size, limit_bytes=self._lease.max_packet_bytes)
        return term

    def check(self, records: Records, agent: Agent, handle: Handle, *, now: dt.datetime) -> None:
        """
        Check that *agent* can measure under *handle*, which was added to it; raise otherwise.

        Raises:
            BadLeaseKey: The gateway's lease key is invalid.
            KeyFileError: The key of its pseudonym is missing.
            LeaseTooLarge: The broker would refuse the lease because of its size.
            Unavailable: The vault fails.
        """
        self._keys.pseudonym_key(purpose=handle.purpose, epoch=handle.key_epoch)
        if agent.lease_key is None:
            return
        public_key(agent.lease_key)
        most_bytes = leases.most_packet_bytes(*records.handles.lease_load(agent.agent))
        if most_bytes <= self._lease.max_packet_bytes:
            return
        opener = _Opener(records, self._keys, self._controller, now=now)
        grants = opener.open([agent.agent], lambda _: frozenset())[agent.agent].grants
        # The size counts all handles of the gateway, also those whose permission begins later.
        begins = max([now, *(grant.scope.valid_from for grant in grants)])
        for at in (now, begins):
            self._term(agent, grants, now=at)


class _Found(msgspec.Struct):
    grants: list[EffectiveGrant] = []
    permissions: list[Permission] = []
    held: list[bytes] = []
    failures: set[Failure] = set()


class _Opener:
    """Opens the records that handles depend on, and each purpose, key and chain only once."""

    def __init__(self, records: Records, keys: Keys, controller: str, *, now: dt.datetime) -> None:
        self._records = records
        self._now = now
        self._keys = keys
        self._controller = controller
        self._pseudonym_keys: dict[tuple[str, int], bytes | Cause] = {}
        self._purposes: dict[tuple[str, int], Purpose | Cause] = {}

    def open(self, agents: Sequence[str], cut: Cut) -> dict[str, _Found]:
        found = {agent: _Found() for agent in agents}
        chains = self._chains(agents, cut)
        readable, damaged = owned.sealed_at(self._records, agents)
        for owner, cause in damaged:
            found[owner.agent].held.append(owner.handle)
            person = Unit(UnitKind.PERSON, str(owner.subject))
            found[owner.agent].failures.add(Failure(person, cause))
        for sealed in readable:
            here = found[sealed.agent]
            chain = chains.get((sealed.subject, sealed.purpose), [])
            opened = self._open(sealed, chain)
            if isinstance(opened, Failure):
                here.held.append(sealed.handle)
                here.failures.add(opened)
            elif opened is not None:
                grant, permissions = opened
                here.grants.append(grant)
                here.permissions += permissions
        return found

    def _chains(self, agents: Sequence[str], cut: Cut) -> dict[Chain, list[Decision] | Cause]:
        """
        Return the decision chains of the handles of *agents*, without the chains that were cut.

        No chain grows meanwhile: each new decision takes the lock of every agent with a handle.
        """
        chains = owned.chains_at(self._records, agents)
        lengths = {chain: len(c) for chain, c in chains.items() if not isinstance(c, Cause)}
        missing = cut(lengths)
        return {chain: taken for chain, taken in chains.items() if chain not in missing}

    def _open(
        self, sealed: SealedHandle, chain: list[Decision] | Cause
    ) -> tuple[EffectiveGrant, list[Permission]] | Failure | None:
        person = Unit(UnitKind.PERSON, str(sealed.subject))
        if isinstance(chain, Cause):
            return Failure(person, chain)
        scope = decisions.scope_since(chain, sealed.decision)
        left_at = sealed.unbound_at
        if scope is None or (left_at is not None and left_at + _SENT_WITHIN <= self._now):
            return None
        handle = attempt_within(lambda: self._records.handles.open(sealed), kind=person.kind)
        if isinstance(handle, Cause):
            return Failure(person, handle)
        versions = decisions.versions_since(chain, sealed.decision)
        agreed: list[Purpose] = []
        for version in versions:
            purpose = self._purpose(sealed.purpose, version)
            if isinstance(purpose, Cause):
                name = f"{sealed.purpose}@{version}"
                return Failure(Unit(UnitKind.PURPOSE, name), purpose)
            agreed.append(purpose)
        key = self._pseudonym_key(sealed.purpose, sealed.key_epoch)
        if isinstance(key, Cause):
            return Failure(Unit(UnitKind.KEY, f"{sealed.purpose}/{sealed.key_epoch}"), key)
        return self._grant(handle, scope, agreed, key)

    def _grant(
        self, handle: Handle, scope: decisions.Scope, agreed: list[Purpose], key: bytes
    ) -> tuple[EffectiveGrant, list[Permission]] | Failure:
        first, *later = agreed

        def work() -> tuple[EffectiveGrant, list[Permission]]:
            pseudonym = pseudonymise(
                handle.subject,
                key=key,
                controller=self._controller,
                purpose=handle.purpose,
                epoch=handle.key_epoch,
            )
            sensors = handle.bindings or handle.unbound
            is_of_one = len(sensors) == 1
            grant = EffectiveGrant(
                handle.handle,
                handle.subject,
                pseudonym,
                first,
                handle.bindings,
                scope,
                later,
                source_of(sensors[0], pseudonym, key=key) if is_of_one else 0,
                handle.unbound_at,
            )
            try:
                return grant, compile_permissions([grant])
            except (KeyError, ValueError, OverflowError):
                # The quantity is unknown in this release, or the rule is invalid.
                raise Unusable("a policy") from None

        made = attempt_within(work, kind=UnitKind.PURPOSE)
        if isinstance(made, Cause):
            return Failure(Unit(UnitKind.PURPOSE, first.reference), made)
        return made

    def _purpose(self, name: str, version: int) -> Purpose | Cause:
        if (name, version) not in self._purposes:
            self._purposes[name, version] = attempt_within(
                lambda: _usable(self._records.purposes.get(name, version)), kind=UnitKind.PURPOSE
            )
        return self._purposes[name, version]

    def _pseudonym_key(self, purpose: str, epoch: int) -> bytes | Cause:
        if (purpose, epoch) not in self._pseudonym_keys:
            self._pseudonym_keys[purpose, epoch] = attempt_within(
                lambda: self._keys.pseudonym_key(purpose=purpose, epoch=epoch), kind=UnitKind.KEY
            )
        return self._pseudonym_keys[purpose, epoch]


def _usable(purpose: Purpose) -> Purpose:
    # Each lease has one bucket: an invalid one would make the lease unreadable for all its
    # handles.
    if not 1 <= purpose.bucket_bytes <= _MOST_BUCKET_BYTES:
        raise Unusable("a policy")
    return purpose

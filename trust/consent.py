"""
Consent: records what a person decided, and has it take effect.

The decision is in the vault, marked as unfinished, before anything else happens; so an order cut
off in the middle is finished by the daemon.
"""

import datetime as dt
import re
import secrets
import uuid
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from trust.decisions import Capture, Decision, GivenBy, State, current, state
from trust.durations import whole_ms
from trust.errors import Conflict, NotFound, Refused
from trust.handles import HANDLE_BYTES
from trust.ports import Clock
from trust.purposes import Purpose
from trust.records import Handle, Records
from trust.upkeep import Done, Upkeep
from trust.vault import Vault

MAX_BINDINGS: Final = 16
_ADDRESS: Final = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){5}", re.ASCII)


class Grant(msgspec.Struct, frozen=True):
    """What a person agreed to, and where it is to be measured."""

    subject: UUID
    purpose: str
    version: int
    quantities: list[str]
    """Empty for all that the purpose allows."""
    agent: str
    bindings: list[str]
    given_by: GivenBy = GivenBy.SELF
    capture: Capture = Capture("signature")
    valid_from: dt.datetime | None = None
    valid_to: dt.datetime | None = None

    def __repr__(self) -> str:
        return "Grant(…)"


class Taken(msgspec.Struct, frozen=True):
    """A decision that took effect."""

    decision: UUID
    done: Done
    handle: bytes | None = None

    def __repr__(self) -> str:
        return "Taken(…)"


class Consent:
    """
    Takes decisions.

    Args:
        vault: Where they are kept.

        upkeep: What makes them take effect.

        clock: Tells the time.

        random_bytes: Returns so many random bytes.
    """

    def __init__(
        self,
        vault: Vault,
        upkeep: Upkeep,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._vault = vault
        self._upkeep = upkeep
        self._clock = clock
        self._random_bytes = random_bytes

    def accept(self, grant: Grant) -> Taken:
        """
        Record that a person accepted, and issue a handle at the agent.

        An earlier handle of the same person, purpose and agent ends.

        Raises:
            Refused: It cannot be; nothing was recorded.
            Unavailable: It may be recorded, and will take effect later.
        """
        bindings = [_address(binding) for binding in grant.bindings]
        if not 1 <= len(set(bindings)) == len(bindings) <= MAX_BINDINGS:
            raise Refused(f"give 1 to {MAX_BINDINGS} different --binding")
        decision, handle, agents = self.record_accepted(grant, bindings)
        return Taken(decision, self._upkeep.bring(agents), handle)

    def record_accepted(self, grant: Grant, bindings: list[str]) -> tuple[UUID, bytes, list[str]]:
        """Record *grant* in the vault, and no more; return decision, handle and agents."""
        with self._vault.transaction() as records:
            purpose = records.purpose(grant.purpose, grant.version)
            data_key = records.data_key(grant.subject)
            records.lock_chain(grant.subject, grant.purpose)
            touched = sorted({grant.agent, *records.agents_of(grant.subject, grant.purpose)})
            _check_agent(records, touched, grant.agent)
            decision = self._accepted(records, grant, purpose)
            records.add_decision(decision)
            records.end_handles(grant.subject, grant.purpose, agent=grant.agent)
            _check_bindings(records.handles([grant.agent]), bindings)
            handle = Handle(
                self._random_bytes(HANDLE_BYTES),
                grant.subject,
                grant.agent,
                grant.purpose,
                decision.decision,
                bindings,
            )
            records.add_handle(handle, data_key=data_key)
            records.want(touched)
        return decision.decision, handle.handle, touched

    def _accepted(self, records: Records, grant: Grant, purpose: Purpose) -> Decision:
        now = whole_ms(self._clock())
        before = current(records.decisions(grant.subject, grant.purpose))
        valid_from = grant.valid_from or now
        if grant.valid_to is not None and grant.valid_to <= max(valid_from, now):
            raise Refused("--valid-to is not after the decision begins, or is past")
        return Decision(
            decision=uuid.UUID(bytes=self._random_bytes(16), version=4),
            subject=grant.subject,
            purpose=grant.purpose,
            version=grant.version,
            state=State.ACCEPTED,
            quantities=_quantities(grant.quantities, purpose),
            recipients=purpose.recipients,
            decided_at=now,
            valid_from=valid_from,
            valid_to=grant.valid_to,
            given_by=grant.given_by,
            capture=grant.capture,
            supersedes=None if before is None else before.decision,
        )

    def withdraw(self, subject: UUID, purpose: str) -> Taken:
        """
        Record that a person withdrew, and have nothing more of it measured or stored.

        Once this returns, no row of that scope is stored any more.

        Raises:
            Refused: There is nothing to withdraw; nothing was recorded.
            Unavailable: It may be recorded, and will take effect later.
        """
        decision, agents = self.record_withdrawn(subject, purpose)
        return Taken(decision, self._upkeep.bring(agents))

    def record_withdrawn(self, subject: UUID, purpose: str) -> tuple[UUID, list[str]]:
        """Record a withdrawal in the vault, and no more; return decision and agents."""
        with self._vault.transaction() as records:
            records.data_key(subject)
            records.lock_chain(subject, purpose)
            chain = records.decisions(subject, purpose)
            before = current(chain)
            if before is None or state(chain) is not State.ACCEPTED:
                raise Conflict("there is no accepted decision of that subject for that purpose")
            agents = records.agents_of(subject, purpose)
            records.lock_agents(agents)
            now = whole_ms(self._clock())
            decision = msgspec.structs.replace(
                before,
                decision=uuid.UUID(bytes=self._random_bytes(16), version=4),
                state=State.WITHDRAWN,
                quantities=[],
                decided_at=now,
                valid_from=now,
                valid_to=None,
                supersedes=before.decision,
            )
            records.add_decision(decision)
            records.end_handles(subject, purpose)
            records.want(agents)
        return decision.decision, agents


def _address(text: str) -> str:
    address = text.upper()
    if _ADDRESS.fullmatch(address) is None:
        raise Refused("a --binding is not a sensor's address; write it as C0:FF:EE:00:00:01")
    return address


def _quantities(wanted: list[str], purpose: Purpose) -> list[str]:
    if not wanted:
        return sorted(purpose.quantities)
    if not set(wanted) <= purpose.quantities.keys():
        raise Refused(
            f"the purpose does not allow all of those --quantities; it allows:"
            f" {', '.join(sorted(purpose.quantities))}"
        )
    return sorted(set(wanted))


def _check_agent(records: Records, touched: list[str], agent: str) -> None:
    """Lock *touched*, in one order for all, and see that *agent* may be used."""
    found = {known.agent: known for known in records.lock_agents(touched)}
    if agent not in found:
        raise NotFound("agent", "Enrol one with `vitalveil trust agent enrol`.")
    if found[agent].revoked_at is not None:
        raise Conflict("that agent is revoked. Enrol a new one")


def _check_bindings(handles: list[Handle], bindings: list[str]) -> None:
    """See that no sensor stands for two handles: the agent could not tell whose value it has."""
    taken = {binding for handle in handles for binding in handle.bindings}
    if taken & set(bindings):
        raise Conflict("a --binding is in use at that agent, by a person or purpose already there")

"""
Consent: records the decisions of a person and makes them take effect.

The decision is first stored in the vault and marked as unfinished. So if a command is interrupted,
the daemon completes it.
"""

import datetime as dt
import secrets
import uuid
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from trust.config import ConsentSettings
from trust.consent import bindings as bound
from trust.consent import giving
from trust.consent.bindings import Issuer
from trust.consent.ending import end_handles, unless_damaged
from trust.consent.giving import Grant, Refusal
from trust.decisions import evidence
from trust.decisions.decisions import (
    Decision,
    GivenBy,
    State,
    before_restriction,
    current,
    state,
    withdrawal_of,
)
from trust.domain.durations import whole_ms
from trust.domain.purposes import Purpose
from trust.domain.units import Cause
from trust.errors import Conflict, EndedUnrecorded, Refused
from trust.ports import Clock
from trust.reconcile.reconciled import Reconciled
from trust.reconcile.reconciler import Reconciler
from trust.vault.protocols import Records, Vault
from trust.vault.records.handles import Handle

_OF_THE_PERSON: Final = frozenset({State.REFUSED, State.DECLINED, State.NOT_CHOSEN})
RECORDABLE: Final = _OF_THE_PERSON | {State.UNKNOWN, State.NOT_ASKED, State.INVALIDATED}
"""The states that `record` takes; others have their own commands or follow by time."""


class RecordedDecision(msgspec.Struct, frozen=True):
    """A recorded decision that took effect."""

    decision: UUID
    done: Reconciled
    handles: list[Handle] = []
    """One for each sensor that measures under the decision at the gateway it was given for."""
    kept: list[str] = []
    """The sensors that were not named, and measure under the decision because they were bound."""

    @property
    def handle(self) -> bytes | None:
        """The handle of the first sensor."""
        return self.handles[0].handle if self.handles else None

    def __repr__(self) -> str:
        return "RecordedDecision(…)"


class Consent:
    """
    Records decisions and makes them take effect.

    Args:
        vault: The vault that keeps the decisions.

        reconciler: Brings permissions and leases up to date with the decisions.

        clock: Tells the time.

        ages: The ages from which a person decides with a guardian or alone.

        random_bytes: Returns the given number of random bytes.
    """

    def __init__(
        self,
        vault: Vault,
        reconciler: Reconciler,
        *,
        clock: Clock,
        ages: ConsentSettings,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._vault = vault
        self._reconciler = reconciler
        self._clock = clock
        self._ages = ages
        self._random_bytes = random_bytes
        self._issuer = Issuer(reconciler, random_bytes)

    def accept(self, grant: Grant) -> RecordedDecision:
        """
        Record that a person accepted, and issue a handle at the agent for each sensor.

        Earlier handles of the same person, purpose and agent end. The sensors that were bound
        there stay bound, besides those that *grant* names.

        Raises:
            Refused: The decision is not possible; nothing was recorded.
            Unavailable: The decision may be recorded, and then takes effect later.
        """
        bindings = [bound.parse(binding) for binding in grant.bindings]
        if len(set(bindings)) < len(bindings) or len(bindings) > bound.MAX_BINDINGS:
            raise Refused(f"give at most {bound.MAX_BINDINGS} different --binding")
        decision, handles, agents = self.record_accepted(grant, bindings)
        done = self._reconciler.reconcile(agents).check(grant.agent)
        named = set(bindings)
        kept = [b for handle in handles for b in handle.bindings if b not in named]
        return RecordedDecision(decision, done, handles, kept)

    def record_accepted(
        self, grant: Grant, bindings: list[str]
    ) -> tuple[UUID, list[Handle], list[str]]:
        """Only record *grant* in the vault; return decision, handles and agents to reconcile."""
        with self._vault.transaction() as records:
            purpose = records.purposes.get(grant.purpose, grant.version)
            data_key = records.subjects.hold(grant.subject)
            records.purposes.share(grant.purpose)
            records.decisions.lock_chain(grant.subject, grant.purpose)
            touched = sorted(
                {grant.agent, *records.handles.agents_of(grant.subject, grant.purpose)}
            )
            agent = bound.check_agent(records, touched, grant.agent)
            decision = self._accepted(records, grant, purpose)
            records.decisions.add(decision)
            here = bound.readable(records, grant.agent)
            records.handles.end(grant.subject, grant.purpose, agent=grant.agent)
            bound.check(here, grant.subject, bindings)
            sensors = list(dict.fromkeys([*bindings, *_bound_before(here, grant)]))
            if not sensors:
                raise Refused("no sensor of that person is bound at that agent: give --binding")
            issued_for = grant.subject, grant.purpose, decision.decision
            handles = self._issuer.issue(records, agent, issued_for, sensors, data_key=data_key)
            records.leases.mark_stale(touched)
        return decision.decision, handles, touched

    def _accepted(self, records: Records, grant: Grant, purpose: Purpose) -> Decision:
        now = whole_ms(self._clock())
        chain = records.decisions.chain(grant.subject, grant.purpose)
        before = _open_to_decisions(chain)
        given = giving.given(records, grant, purpose, chain, now=now, ages=self._ages)
        valid_from = grant.valid_from or now
        if valid_from < given.decided_at:
            raise Refused("--valid-from is before --given-at: no one can agree to what is past")
        valid_to = _ends_at(grant, valid_from)
        if valid_to is not None and valid_to <= max(valid_from, now):
            raise Refused("--valid-to is not after the decision begins, or is past")
        if given.until is not None and given.until <= max(valid_from, now):
            raise Refused("the decision would begin after the mandate of who gives it")
        ends = [end for end in (valid_to, given.until) if end is not None]
        decision = Decision(
            decision=self._new_id(),
            subject=grant.subject,
            purpose=grant.purpose,
            version=grant.version,
            state=State.ACCEPTED,
            quantities=_quantities(grant.quantities, purpose),
            recipients=_recipients(grant.recipients, purpose),
            decided_at=given.decided_at,
            valid_from=valid_from,
            valid_to=min(ends, default=None),
            given_by=given.given_by,
            capture=given.capture,
            supersedes=None if before is None else before.decision,
            representative=grant.representative,
            representative_capture=given.representative_capture,
            representative_decided_at=given.representative_decided_at,
        )
        return giving.vouched(records, grant, decision)

    def record(self, refusal: Refusal) -> RecordedDecision:
        """
        Record a decision other than yes; an earlier acceptance ends.

        Raises:
            Refused: The decision is not possible; nothing was recorded.
            EndedUnrecorded: Storing has ended, but the decision could not be appended.
            Unavailable: The decision may be recorded, and then takes effect later.
        """
        if refusal.state not in RECORDABLE:
            raise Refused(f"--state is one of: {', '.join(sorted(RECORDABLE))}")
        return self._end(
            refusal.subject,
            refusal.purpose,
            partial(self._record_refused, refusal),
            recorded_as="decision",
        )

    def _record_refused(self, refusal: Refusal) -> tuple[UUID, list[str]]:
        with self._vault.transaction() as records:
            records.subjects.data_key(refusal.subject)
            records.purposes.get(refusal.purpose, refusal.version)
            records.decisions.lock_chain(refusal.subject, refusal.purpose)
            agents = records.handles.agents_of(refusal.subject, refusal.purpose)
            records.agents.hold_all(agents)
            decision = self._refused(records, refusal)
            records.decisions.add(decision)
            records.handles.end(refusal.subject, refusal.purpose)
            records.leases.mark_stale(agents)
        return decision.decision, agents

    def _refused(self, records: Records, refusal: Refusal) -> Decision:
        now = whole_ms(self._clock())
        chain = records.decisions.chain(refusal.subject, refusal.purpose)
        before = _open_to_decisions(chain)
        said = refusal.said.at(now)
        decided_at = said.given_at if isinstance(said.given_at, dt.datetime) else now
        if decided_at > now:
            raise Refused("--given-at is in the future: a decision is recorded once it is made")
        evidence.check_order(decided_at, chain, at=now)
        if refusal.state in _OF_THE_PERSON:
            giving.check_says_no(records, refusal, at=decided_at, ages=self._ages)
        return Decision(
            decision=self._new_id(),
            subject=refusal.subject,
            purpose=refusal.purpose,
            version=refusal.version,
            state=refusal.state,
            quantities=[],
            recipients=[],
            decided_at=decided_at,
            valid_from=now,
            given_by=refusal.given_by or GivenBy.NOT_STATED,
            capture=evidence.capture_of(said),
            supersedes=None if before is None else before.decision,
            representative=refusal.representative,
        )

    def withdraw(
        self, subject: UUID, purpose: str, *, given_by: GivenBy = GivenBy.NOT_STATED
    ) -> RecordedDecision:
        """
        Record that a person withdrew, and end all measuring and storing in that scope.

        A withdrawal needs no evidence: to withdraw is as easy as to agree (GDPR art. 7(3)).

        After this method returns, no further row of that scope is stored.

        Raises:
            Refused: There is nothing to withdraw; nothing was recorded.
            EndedUnrecorded: Storing has ended, but the decision could not be appended.
            Unavailable: The decision may be recorded, and then takes effect later.
        """
        return self._end(
            subject,
            purpose,
            partial(self.record_withdrawn, subject, purpose, given_by=given_by),
            recorded_as="withdrawal",
        )

    def _end(
        self,
        subject: UUID,
        purpose: str,
        record: Callable[[], tuple[UUID, list[str]]],
        *,
        recorded_as: str,
    ) -> RecordedDecision:
        """Call *record* and reconcile; if *record* fails, end the permissions all the same."""
        recorded = unless_damaged(record)
        if isinstance(recorded, Cause):
            self._reconciler.reconcile(end_handles(self._vault, subject, purpose))
            raise EndedUnrecorded(recorded_as)
        decision, agents = recorded
        return RecordedDecision(decision, self._reconciler.reconcile(agents))

    def record_withdrawn(
        self, subject: UUID, purpose: str, *, given_by: GivenBy = GivenBy.NOT_STATED
    ) -> tuple[UUID, list[str]]:
        """Only record a withdrawal in the vault; return decision and agents to reconcile."""
        with self._vault.transaction() as records:
            records.subjects.data_key(subject)
            records.decisions.lock_chain(subject, purpose)
            chain = records.decisions.chain(subject, purpose)
            accepted = before_restriction(chain)
            if accepted is None or accepted.state is not State.ACCEPTED:
                raise Conflict("there is no accepted decision of that subject for that purpose")
            agents = records.handles.agents_of(subject, purpose)
            records.agents.hold_all(agents)
            decision = msgspec.structs.replace(
                withdrawal_of(accepted, at=whole_ms(self._clock())),
                decision=self._new_id(),
                supersedes=chain[-1].decision,
                given_by=given_by,
            )
            records.decisions.add(decision)
            if chain[-1].state is State.RESTRICTED:
                # A withdrawal is never refused, and does not lift a restriction.
                records.decisions.add(
                    msgspec.structs.replace(
                        decision,
                        decision=self._new_id(),
                        state=State.RESTRICTED,
                        supersedes=decision.decision,
                    )
                )
            records.handles.end(subject, purpose)
            records.leases.mark_stale(agents)
        return decision.decision, agents

    def _new_id(self) -> UUID:
        return uuid.UUID(bytes=self._random_bytes(16), version=4)


def _open_to_decisions(chain: list[Decision]) -> Decision | None:
    """Return the decision in force of *chain*, which the next decision supersedes."""
    if state(chain) is State.RESTRICTED:
        raise Conflict(
            "that purpose is restricted for that subject: what is stored is kept, and nothing is"
            " decided meanwhile but a withdrawal. Lift it with `vitalveil trust unrestrict`"
        )
    return current(chain)


def _ends_at(grant: Grant, valid_from: dt.datetime) -> dt.datetime | None:
    if grant.valid_for is None:
        return grant.valid_to
    if grant.valid_to is not None:
        raise Refused("give --valid-to or --valid-for, not both")
    return valid_from + grant.valid_for


def _recipients(wanted: list[str] | None, purpose: Purpose) -> list[str]:
    if wanted is None:
        return purpose.recipients
    if not set(wanted) <= set(purpose.recipients):
        raise Refused(
            "the purpose does not name all of those --recipients; it names:"
            f" {', '.join(sorted(purpose.recipients)) or 'no one'}"
        )
    return sorted(set(wanted))


def _quantities(wanted: list[str], purpose: Purpose) -> list[str]:
    if not wanted:
        return sorted(purpose.quantities)
    if not set(wanted) <= purpose.quantities.keys():
        raise Refused(
            f"the purpose does not allow all of those --quantities; it allows:"
            f" {', '.join(sorted(purpose.quantities))}"
        )
    return sorted(set(wanted))


def _bound_before(here: list[Handle], grant: Grant) -> list[str]:
    """
    Return the sensors that measure the person at the gateway without being named again.

    They are those that were bound for the purpose. Where there are none, and none is named, they
    are those that are bound for other purposes.
    """
    theirs = [handle for handle in here if handle.subject == grant.subject]
    same = [b for handle in theirs if handle.purpose == grant.purpose for b in handle.bindings]
    if same or grant.bindings:
        return same
    return [binding for handle in theirs for binding in handle.bindings]

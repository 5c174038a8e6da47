"""
Restriction (GDPR art. 18): what is stored is kept, and nothing more is done with it.

Nothing more is measured or stored, no view and no figure counts what there is, and no decision is
taken but a withdrawal. Lifting it lets what is stored count again, and what was decided before
stand again; to measure again takes a new decision, and gives a new handle.
"""

import secrets
import uuid
from collections.abc import Callable
from functools import partial
from uuid import UUID

import msgspec

from trust.consent.ending import end_handles, unless_damaged
from trust.decisions.decisions import State, before_restriction, state, without_evidence
from trust.domain.durations import whole_ms
from trust.domain.units import Cause
from trust.errors import Conflict, EndedUnrecorded
from trust.keys.epochs import pseudonyms_of
from trust.ports import Clock, Keys
from trust.reconcile.reconciled import Reconciled
from trust.reconcile.reconciler import Reconciler
from trust.telemetry.erasure import Stores
from trust.vault.protocols import Vault


class Restricted(msgspec.Struct, frozen=True):
    """What came of it."""

    decisions: list[UUID]
    series: int
    done: Reconciled


class Restriction:
    """
    Restricts, and lifts restrictions.

    Args:
        vault: Where decisions are kept.

        stores: Where observations are.

        reconciler: Has decisions take effect.

        keys: For pseudonyms.

        controller: Who answers for the processing.

        clock: Tells the time.

        random_bytes: Returns so many random bytes.
    """

    def __init__(  # noqa: PLR0913 - it ends measuring, and marks what was measured
        self,
        vault: Vault,
        stores: Stores,
        reconciler: Reconciler,
        keys: Keys,
        *,
        controller: str,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._reconciler = reconciler
        self._keys = keys
        self._controller = controller
        self._clock = clock
        self._random_bytes = random_bytes

    def restrict(self, subject: UUID, purpose: str | None) -> Restricted:
        """
        Restrict what there is of *subject* for *purpose*, or for all; it may be done again.

        Raises:
            Refused: There is nothing to restrict; nothing was recorded.
            EndedUnrecorded: It is in force, and for one purpose or more it is not recorded.
            Unavailable: It may be recorded; do it again.
        """
        return self._move(subject, purpose, is_restricted=True)

    def lift(self, subject: UUID, purpose: str | None) -> Restricted:
        """
        Lift the restriction of *subject* for *purpose*, or for all.

        Raises:
            Refused: There is nothing to lift; nothing was recorded.
            Unavailable: It may be recorded; do it again.
        """
        return self._move(subject, purpose, is_restricted=False)

    def _move(self, subject: UUID, purpose: str | None, *, is_restricted: bool) -> Restricted:
        with self._vault.transaction() as records:
            records.subjects.is_erased(subject)
            decided = records.decisions.purposes_with_handles(subject)
            scope = [name for name in decided if purpose in (None, name)]
            epochs = {name: records.epochs.numbers(name) for name in scope}
            agents = {
                agent for _, agent, of, _ in records.handles.of(subject, None) if of in scope
            }
        if not scope:
            raise Conflict("that subject has decided nothing for that purpose")
        decisions, is_damaged = [], False
        for name in scope:
            decide = partial(self._decide, subject, name, is_restricted=is_restricted)
            # What is damaged lifts no restriction; to end what it permits takes no reading.
            decision = unless_damaged(decide) if is_restricted else decide()
            if isinstance(decision, Cause):
                is_damaged = True
                end_handles(self._vault, subject, name)
            elif decision is not None:
                decisions.append(decision)
        done = self._reconciler.reconcile(sorted(agents))
        pseudonyms = [
            pseudonym.value
            for name in scope
            for pseudonym in pseudonyms_of(
                subject,
                keys=self._keys,
                controller=self._controller,
                purpose=name,
                epochs=epochs[name],
            )
        ]
        series = self._stores.restrict(pseudonyms, is_restricted=is_restricted)
        if is_damaged:
            raise EndedUnrecorded("restriction")
        return Restricted(decisions, series, done)

    def _decide(self, subject: UUID, purpose: str, *, is_restricted: bool) -> UUID | None:
        """Record the new state if it is another; return the decision."""
        with self._vault.transaction() as records:
            records.decisions.lock_chain(subject, purpose)
            chain = records.decisions.chain(subject, purpose)
            before = before_restriction(chain)
            if before is None or (state(chain) is State.RESTRICTED) is is_restricted:
                return None
            agents = records.handles.agents_of(subject, purpose)
            records.agents.hold_all(agents)
            now = whole_ms(self._clock())
            # How and when a person agreed says nothing of how they asked to be restricted. Lifted,
            # what they decided before stands again, with what was said of it and no more.
            if is_restricted:
                before = msgspec.structs.replace(without_evidence(before), decided_at=now)
            decision = msgspec.structs.replace(
                before,
                decision=uuid.UUID(bytes=self._random_bytes(16), version=4),
                state=State.RESTRICTED if is_restricted else before.state,
                valid_from=now,
                supersedes=chain[-1].decision,
            )
            records.decisions.add(decision)
            records.handles.end(subject, purpose)
            records.leases.mark_stale(agents)
        return decision.decision

"""
Restriction (GDPR art. 18): stored data are kept and not processed in any other way.

No more data are measured or stored, views and figures leave out the stored data, and withdrawal is
the only decision that is taken. After the restriction is lifted, the stored data count again and
the earlier decision is in force again. To measure again needs a new decision and a new handle.
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
    """The result of restricting, or of lifting a restriction."""

    decisions: list[UUID]
    series: int
    done: Reconciled


class Restriction:
    """
    Restricts processing, and lifts restrictions.

    Args:
        vault: The vault that keeps the decisions.

        stores: The databases that keep the observations.

        reconciler: Makes decisions take effect.

        keys: The keys of the pseudonyms.

        controller: The name of the controller (GDPR art. 4(7)).

        clock: Tells the time.

        random_bytes: Returns the given number of random bytes.
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
        Restrict the data of *subject* for *purpose*, or for all purposes if None.

        Repeating the call is safe.

        Raises:
            Refused: There is nothing to restrict; nothing was recorded.
            EndedUnrecorded: The restriction is in force, but not recorded for every purpose.
            Unavailable: The restriction may be recorded; the caller must try again.
        """
        return self._move(subject, purpose, is_restricted=True)

    def lift(self, subject: UUID, purpose: str | None) -> Restricted:
        """
        Lift the restriction of *subject* for *purpose*, or for all purposes if None.

        Raises:
            Refused: There is no restriction to lift; nothing was recorded.
            Unavailable: The lifting may be recorded; the caller must try again.
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
            # Damaged decisions never lift a restriction; ending permissions needs no reading.
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
        """Record the new state if it differs from the present one; return the decision."""
        with self._vault.transaction() as records:
            records.decisions.lock_chain(subject, purpose)
            chain = records.decisions.chain(subject, purpose)
            before = before_restriction(chain)
            if before is None or (state(chain) is State.RESTRICTED) is is_restricted:
                return None
            agents = records.handles.agents_of(subject, purpose)
            records.agents.hold_all(agents)
            now = whole_ms(self._clock())
            # The evidence of the yes does not apply to the request for a restriction. After the
            # restriction is lifted, the earlier decision stands again with its own evidence.
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

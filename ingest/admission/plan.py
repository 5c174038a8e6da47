"""
The plan of a flush: what one transaction is to write. Pure.

Deliveries are named by their envelope index (see `ingest.admission`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.admission.admit import Admission
from ingest.admission.columns import Bools
from ingest.values.delivery import EnvelopeId, Opened
from ingest.values.outcome import (
    ANONYMOUS,
    Outcome,
    QuarantineReason,
    Reason,
    Verdict,
    ledger_code,
)

Fate = tuple[Outcome, Verdict]
"""The outcome of a delivery and the reason for it."""

STORED: Final[Fate] = (Outcome.STORED, None)
"""The fate of most deliveries."""


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """The row of an envelope in the ledger."""

    identity: EnvelopeId
    digest: bytes
    outcome: int
    observations: int


class Plan(msgspec.Struct, frozen=True, eq=False):
    """
    What to write for the deliveries of a flush.

    Args:
        opened: The deliveries.

        admission: The decisions about their blocks.

        verdicts: (envelopes,) The verdicts of the admission, unless one was overruled.

        firsts: Envelope indexes of the deliveries that are the first to claim their identity, in
            the order of identities, so that two workers never deadlock. A delivery claims no
            identity unless its agent is known to have made it.

        claims: The identities of `firsts`, in the same order.

        repeats: For each further delivery of a claimed identity, the first one; envelope indexes.
    """

    opened: Sequence[Opened]
    admission: Admission
    verdicts: list[Verdict]
    firsts: list[int]
    claims: list[EnvelopeId]
    repeats: dict[int, int]

    @property
    def epoch(self) -> int:
        """The epoch of the permissions that the plan relies on."""
        return self.admission.epoch

    @property
    def is_all_accepted(self) -> bool:
        """Whether every delivery is accepted."""
        return self.verdicts.count(None) == len(self.verdicts)

    def accepted(self, indexes: Iterable[int]) -> Bools:
        """Return (envelopes,) whether the delivery is among *indexes* and accepted."""
        wanted = np.zeros(len(self.opened), dtype=np.bool_)
        wanted[[i for i in indexes if self.verdicts[i] is None]] = True
        return wanted

    def ledger(self) -> list[LedgerRow]:
        """Return the rows for the ledger, one for each of `firsts` in the same order."""
        added = np.bincount(self.admission.rows.envelopes, minlength=len(self.opened)).tolist()
        found = []
        for identity, index in zip(self.claims, self.firsts, strict=True):
            verdict = self.verdicts[index]
            code, count = (0, added[index]) if verdict is None else (ledger_code(verdict), 0)
            found.append(LedgerRow(identity, self.opened[index].digest, code, count))
        return found

    def poisoned(self) -> list[int]:
        """Return the envelope indexes of deliveries that opened but that the database rejects."""
        if self.is_all_accepted:
            return []
        return [i for i in self.firsts if self.verdicts[i] is QuarantineReason.POISON]

    def unopened(self) -> list[int]:
        """Return the envelope indexes of deliveries that no key opened, by identity and digest."""
        if self.is_all_accepted:
            return []
        bad = QuarantineReason.BAD_SEAL
        found = [i for i, verdict in enumerate(self.verdicts) if verdict is bad]
        return sorted(
            found, key=lambda i: (*identity_order(self.opened[i]), self.opened[i].digest)
        )


def make_plan(admission: Admission, opened: Sequence[Opened], *, is_poison: bool = False) -> Plan:
    """
    Return the plan for *opened*.

    Args:
        admission: The decisions about *opened*.

        opened: The deliveries.

        is_poison: Whether the database rejects each of them even when it is written alone.
    """
    verdicts = list(admission.verdicts)
    if is_poison:
        verdicts = [QuarantineReason.POISON if v is None else v for v in verdicts]
    first_of: dict[EnvelopeId, int] = {}
    repeats: dict[int, int] = {}
    for index, (one, verdict) in enumerate(zip(opened, verdicts, strict=True)):
        # Anyone can write an identity on an envelope and seal it to ingest's public key. The
        # identity counts only if a handle that only the agent knows was found inside.
        identity = one.identity
        if identity is None or (verdict is not None and not takes_identity(verdict)):
            continue
        first = first_of.setdefault(identity, index)
        if first != index:
            repeats[index] = first
    claims = sorted(first_of, key=_order)
    firsts = list(map(first_of.__getitem__, claims))
    return Plan(opened, admission, verdicts, firsts, claims, repeats)


def takes_identity(verdict: Verdict) -> bool:
    """Tell whether a delivery with this verdict is known to come from its agent."""
    return verdict is None or verdict not in ANONYMOUS


def identity_order(one: Opened) -> tuple[str, bytes, int]:
    """Return the sort key of deliveries; all workers use the same order and never deadlock."""
    assert one.identity is not None  # noqa: S101 - a sealed envelope has a readable outside
    return _order(one.identity)


def _order(identity: EnvelopeId) -> tuple[str, bytes, int]:
    return (*identity.spool, identity.sequence)


def conclude(plan: Plan, known: Mapping[int, bytes]) -> tuple[list[Fate], list[int]]:
    """
    Return (envelopes,) the fates, and the envelope indexes of the conflicts.

    A conflict is a delivery whose identity was settled with other bytes. The fates of conflicts
    and of deliveries that did not open are provisional: quarantined.

    Args:
        plan: The plan.

        known: Those of `plan.firsts` that were in the ledger before, with the digest there.
    """
    if not known and not plan.repeats and plan.is_all_accepted:
        return [STORED] * len(plan.opened), []
    fates: list[Fate] = []
    conflicts = []
    for index, (one, verdict) in enumerate(zip(plan.opened, plan.verdicts, strict=True)):
        before = known.get(index)
        if (first := plan.repeats.get(index)) is not None:
            before = known.get(first, plan.opened[first].digest)
        if before is None:
            fates.append((_outcome(verdict), verdict))
        elif before == one.digest:
            fates.append((Outcome.DUPLICATE, None))
        else:
            conflicts.append(index)
            fates.append((Outcome.QUARANTINED, QuarantineReason.CONFLICT))
    return fates, conflicts


def unstored(
    plan: Plan, fates: Sequence[Fate], conflicts: Collection[int], differing: Collection[int]
) -> list[int]:
    """
    Return the envelope indexes of admitted deliveries that are not known to be stored as admitted.

    A duplicate may be admitted in more than was stored of it, for instance because a permission
    came in between. Only if it is admitted whole, and the ledger counts as many observations, is
    it known that all of it is stored.

    Args:
        plan: The plan.

        fates: (envelopes,) The final fates.

        conflicts: Envelope indexes, as `conclude` returned them.

        differing: Envelope indexes of deliveries that the ledger knew before, but not as accepted
            with the number of observations that the plan admits.
    """
    if fates.count(STORED) == len(fates):
        return []
    blocks = plan.admission.blocks
    partly = set(blocks.envelopes[blocks.codes != 0].tolist())
    found = []
    for index, (fate, verdict) in enumerate(zip(fates, plan.admission.verdicts, strict=True)):
        if verdict is not None or fate == STORED:
            continue
        first = plan.repeats.get(index, index)
        is_whole = first not in differing and first not in partly
        is_stored = fates[first] == STORED or (is_whole and plan.verdicts[first] is None)
        if fate[0] is not Outcome.DUPLICATE or index in conflicts or not is_stored:
            found.append(index)
    return found


def _outcome(verdict: Verdict) -> Outcome:
    if verdict is None:
        return Outcome.STORED
    return Outcome.REFUSED if isinstance(verdict, Reason) else Outcome.QUARANTINED

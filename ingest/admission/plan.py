"""The plan of a flush: what one transaction is to write. Pure."""

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
"""What became of a delivery, and why."""

STORED: Final[Fate] = (Outcome.STORED, None)
"""What becomes of most."""


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """What the ledger keeps of an envelope."""

    identity: EnvelopeId
    digest: bytes
    outcome: int
    observations: int


class Plan(msgspec.Struct, frozen=True, eq=False):
    """
    What is to be written for the deliveries of a flush.

    Args:
        opened: The deliveries.

        admission: What was decided about their blocks.

        verdicts: What was decided about each; admission's, unless something overruled it.

        firsts: The deliveries that claim an identity first, in the order of identities, so that
            two workers never wait for each other crosswise. A delivery of which it is not known
            that its agent sealed it claims none.

        claims: Their identities.

        repeats: Each other delivery of an identity in the same flush, with the first.
    """

    opened: Sequence[Opened]
    admission: Admission
    verdicts: list[Verdict]
    firsts: list[int]
    claims: list[EnvelopeId]
    repeats: dict[int, int]

    @property
    def epoch(self) -> int:
        """The epoch of the permissions that it stands on."""
        return self.admission.epoch

    @property
    def is_all_accepted(self) -> bool:
        """Whether there is nothing to say against any delivery."""
        return self.verdicts.count(None) == len(self.verdicts)

    def accepted(self, indexes: Iterable[int]) -> Bools:
        """Return which of all deliveries are among *indexes* and accepted."""
        wanted = np.zeros(len(self.opened), dtype=np.bool_)
        wanted[[i for i in indexes if self.verdicts[i] is None]] = True
        return wanted

    def ledger(self) -> list[LedgerRow]:
        """Return what the ledger is to keep, one for each of `firsts`."""
        added = np.bincount(self.admission.rows.envelopes, minlength=len(self.opened)).tolist()
        found = []
        for identity, index in zip(self.claims, self.firsts, strict=True):
            verdict = self.verdicts[index]
            code, count = (0, added[index]) if verdict is None else (ledger_code(verdict), 0)
            found.append(LedgerRow(identity, self.opened[index].digest, code, count))
        return found

    def poisoned(self) -> list[int]:
        """Return the deliveries that opened, and that the database cannot write."""
        if self.is_all_accepted:
            return []
        return [i for i in self.firsts if self.verdicts[i] is QuarantineReason.POISON]

    def unopened(self) -> list[int]:
        """Return the deliveries that no key of ours opened, in the order of identities."""
        if self.is_all_accepted:
            return []
        bad = QuarantineReason.BAD_SEAL
        found = [i for i, verdict in enumerate(self.verdicts) if verdict is bad]
        return sorted(
            found, key=lambda i: (*identity_order(self.opened[i]), self.opened[i].digest)
        )


def make_plan(admission: Admission, opened: Sequence[Opened], *, is_poison: bool = False) -> Plan:
    """
    Return the plan for *opened* as admitted.

    Args:
        admission: What was decided about *opened*.

        opened: The deliveries.

        is_poison: Whether the database refused to write each of them alone.
    """
    verdicts = list(admission.verdicts)
    first_of: dict[EnvelopeId, int] = {}
    repeats: dict[int, int] = {}
    for index, one in enumerate(opened):
        if is_poison and verdicts[index] is None:
            verdicts[index] = QuarantineReason.POISON
        # Anyone can put an identity on the outside, and seal to ingest's public key. An identity
        # counts once a handle that only its agent knows was found inside.
        if one.identity is None or not takes_identity(verdicts[index]):
            continue
        first = first_of.setdefault(one.identity, index)
        if first != index:
            repeats[index] = first
    claims = sorted(first_of, key=_order)
    return Plan(opened, admission, verdicts, [first_of[i] for i in claims], claims, repeats)


def takes_identity(verdict: Verdict) -> bool:
    """Tell whether a delivery with this verdict is known to be its agent's own."""
    return verdict is None or verdict not in ANONYMOUS


def identity_order(one: Opened) -> tuple[str, bytes, int]:
    """Return what to sort deliveries by, so that two workers never wait crosswise."""
    assert one.identity is not None  # noqa: S101 - what has a seal has an outside
    return _order(one.identity)


def _order(identity: EnvelopeId) -> tuple[str, bytes, int]:
    return (*identity.spool, identity.sequence)


def conclude(plan: Plan, known: Mapping[int, bytes]) -> tuple[list[Fate], list[int]]:
    """
    Return the fate of each delivery, and the ones that conflict with what was settled before.

    The fate of a conflict is not known yet, nor that of what did not open: both stand as
    quarantined.

    Args:
        plan: The plan.

        known: The deliveries of `firsts` that were in the ledger before, with the digest there.
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
    plan: Plan, fates: Sequence[Fate], conflicts: Collection[int], rowless: Collection[int]
) -> list[int]:
    """
    Return the deliveries that were admitted, and of which nothing is stored, now or before.

    Args:
        plan: The plan.

        fates: What became of each.

        conflicts: As `conclude` found.

        rowless: The deliveries that were in the ledger before as something else than accepted.
    """
    if fates.count(STORED) == len(fates):
        return []
    found = []
    for index, (fate, verdict) in enumerate(zip(fates, plan.admission.verdicts, strict=True)):
        if verdict is not None or fate == STORED:
            continue
        first = plan.repeats.get(index, index)
        is_stored = first not in rowless and plan.verdicts[first] is None
        if fate[0] is not Outcome.DUPLICATE or index in conflicts or not is_stored:
            found.append(index)
    return found


def _outcome(verdict: Verdict) -> Outcome:
    if verdict is None:
        return Outcome.STORED
    return Outcome.REFUSED if isinstance(verdict, Reason) else Outcome.QUARANTINED

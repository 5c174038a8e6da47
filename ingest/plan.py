"""The plan of a flush: what one transaction is to write. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.admit import Admission
from ingest.columns import Bools
from ingest.delivery import Identity, Opened
from ingest.outcome import Outcome, QuarantineReason, Reason, Verdict, ledger_code

Fate = tuple[Outcome, Verdict]
"""What became of a delivery, and why."""

STORED: Final[Fate] = (Outcome.STORED, None)
"""What becomes of most."""


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """What the ledger keeps of an envelope."""

    identity: Identity
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
            two workers never wait for each other crosswise.

        claims: Their identities.

        repeats: Each other delivery of an identity in the same flush, with the first.
    """

    opened: Sequence[Opened]
    admission: Admission
    verdicts: list[Verdict]
    firsts: list[int]
    claims: list[Identity]
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

    def wants_quarantine(self) -> list[int]:
        """Return the deliveries that are to be quarantined before the ledger is asked."""
        if self.is_all_accepted:
            return []
        return [i for i in self.firsts if isinstance(self.verdicts[i], QuarantineReason)]

    def refuse_over(self, kept: Mapping[str, int], cap: int) -> "Plan":
        """
        Return the plan without the bad seals for which their agent's share of the quarantine
        has no room.

        Args:
            kept: How many envelopes of each agent are in quarantine.

            cap: How many may be.
        """
        room = {agent: cap - count for agent, count in kept.items()}
        verdicts = list(self.verdicts)
        for index in self.wants_quarantine():
            agent = self.opened[index].agent
            room[agent] = room.get(agent, cap) - 1
            if room[agent] < 0 and verdicts[index] is QuarantineReason.BAD_SEAL:
                verdicts[index] = Reason.BAD_SEAL
        return msgspec.structs.replace(self, verdicts=verdicts)


def make_plan(admission: Admission, opened: Sequence[Opened], *, is_poison: bool = False) -> Plan:
    """
    Return the plan for *opened* as admitted.

    Args:
        admission: What was decided about *opened*.

        opened: The deliveries.

        is_poison: Whether the database refused to write each of them alone.
    """
    verdicts = list(admission.verdicts)
    first_of: dict[Identity, int] = {}
    repeats: dict[int, int] = {}
    for index, one in enumerate(opened):
        if is_poison and verdicts[index] is None:
            verdicts[index] = QuarantineReason.POISON
        # Whose agent is unknown is nobody's: the ledger does not grow by what strangers send.
        if one.identity is None or verdicts[index] is Reason.UNKNOWN_AGENT:
            continue
        first = first_of.setdefault(one.identity, index)
        if first != index:
            repeats[index] = first
    claims = sorted(first_of, key=_order)
    return Plan(opened, admission, verdicts, [first_of[i] for i in claims], claims, repeats)


def _order(identity: Identity) -> tuple[str, bytes, int]:
    return (*identity.spool, identity.sequence)


def conclude(plan: Plan, known: Mapping[int, bytes]) -> tuple[list[Fate], list[int]]:
    """
    Return the fate of each delivery, and the ones that conflict with what was settled before.

    The fate of a conflict is not known yet: it stands as quarantined.

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


def _outcome(verdict: Verdict) -> Outcome:
    if verdict is None:
        return Outcome.STORED
    return Outcome.REFUSED if isinstance(verdict, Reason) else Outcome.QUARANTINED

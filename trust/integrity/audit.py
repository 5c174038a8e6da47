"""
Audit: whether every decision that was ever recorded is still there, and as it was signed.

What the vault has is told to the telemetry database, which remembers it
(`trust.integrity.witness`). What that remembers and the vault has no more was deleted, or lost in
a restore.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

import msgspec

from trust.decisions.decisions import Decision
from trust.decisions.evidence import Proof, holds, proof
from trust.domain import canonical
from trust.domain.approval import rests_on
from trust.domain.reidentify import Known
from trust.errors import Tampered
from trust.integrity.witness import Chain, Version, Witness
from trust.vault.protocols import Records, Vault

_PAGE: Final = 2000
_LATE: Final = 1000
"""How far below the highest position a decision may be committed after it."""


class AuditFindings(msgspec.Struct, frozen=True):
    """What an audit found."""

    decisions: int
    missing: int
    """That were there once; also of people whom the vault does not know any more."""
    cut: dict[Chain, int]
    """How many are missing of whom, as far as that can be told."""


class Read(msgspec.Struct, frozen=True):
    """What the decisions and policies themselves say."""

    broken: list[Chain]
    """Not as they were signed, by trust or by an officer who vouched for something."""
    unproven: int
    """Decisions that say yes and do not say how, or to which text: recorded by default, once."""
    policies_verify: bool


class PoliciesFound(msgspec.Struct, frozen=True):
    """What an audit found of versions of purposes."""

    problems: dict[Version, str]
    gone: int
    """That are not there at all any more."""
    unapproved: int
    """Loaded before approvals were asked for."""


class Audit:
    """
    Compares the vault with what is remembered of it.

    Args:
        vault: With the decisions.

        witness: What remembers them.
    """

    def __init__(self, vault: Vault, witness: Witness) -> None:
        self._vault = vault
        self._witness = witness
        self._position = 0

    def note(self) -> None:
        """
        Have what was decided lately remembered; what this misses, `look` does not.

        Raises:
            Unavailable: Do it again later.
        """
        with self._vault.transaction() as records:
            last = records.decisions.last_position()
            after = max(self._position, last - _PAGE) - _LATE
            chains = records.decisions.chain_lengths_after(after)
            admitted = records.admissions.all()
        self._witness.note(chains)
        self._witness.note_policies(admitted)
        self._position = last

    def look(self) -> AuditFindings:
        """
        Have every decision remembered, and return what is remembered and not there.

        Raises:
            Unavailable: Do it again later.
        """
        cut: dict[Chain, int] = {}
        for chains in self._pages():
            self._witness.note(chains)
            for chain in self._witness.cut(chains):
                cut[chain] = self._witness.missing(chain, chains[chain])
        # In this order: what is decided meanwhile is no more than not noticed yet.
        remembered = self._witness.count()
        with self._vault.transaction() as records:
            decisions = records.decisions.count()
        missing = max(remembered - decisions, sum(cut.values()), 0)
        return AuditFindings(decisions, missing, cut)

    def read(self) -> Read:
        """Read every decision and policy; return those that are not as they were signed."""
        broken, unproven = [], 0
        officers = self._officers()
        for chains in self._pages():
            for chain, length in chains.items():
                found = self._verified(chain, officers) if length else []
                if found is None:
                    broken.append(chain)
                else:
                    unproven += sum(proof(one) is Proof.UNPROVEN for one in found)
        with self._vault.transaction() as records:
            try:
                records.purposes.all()
            except Tampered:
                return Read(broken, unproven, policies_verify=False)
        return Read(broken, unproven, policies_verify=True)

    def policies(self) -> PoliciesFound:
        """
        Return how the versions of purposes came into force, as far as that is still there.

        Raises:
            Unavailable: Do it again later.
        """
        officers = self._officers()
        with self._vault.transaction() as records:
            versions = records.purposes.references()
            admitted = set(records.admissions.all())
            problems = {
                version: problem
                for version in versions
                if version in admitted
                and (problem := _problem(records, version, officers)) is not None
            }
        self._witness.note_policies(admitted)
        without = set(versions) - admitted
        forgotten = self._witness.known_policies(without)
        problems.update(dict.fromkeys(forgotten, "how it came into force is missing"))
        gone = self._witness.count("policy") - len(admitted) - len(forgotten)
        return PoliciesFound(problems, max(gone, 0), len(without - forgotten))

    def _verified(self, chain: Chain, officers: Mapping[UUID, Known]) -> list[Decision] | None:
        with self._vault.transaction() as records:
            try:
                found = records.decisions.chain(*chain)
            except Tampered:
                return None
        return found if all(holds(one, officers) for one in found) else None

    def _officers(self) -> Mapping[UUID, Known]:
        with self._vault.transaction() as records:
            try:
                return records.officers.all()
            except Tampered:
                # Then what they vouched for does not verify either, and is named.
                return {}

    def _pages(self) -> Iterator[Mapping[Chain, int]]:
        """Yield every subject with every purpose, and how many decisions there are of it."""
        after = UUID(int=0)
        while True:
            with self._vault.transaction() as records:
                chains = records.decisions.chain_lengths(after=after, limit=_PAGE)
            if not chains:
                return
            yield chains
            after = max(subject for subject, _ in chains)


def _problem(records: Records, version: Version, officers: Mapping[UUID, Known]) -> str | None:
    """Return what is wrong with how *version* came into force; None for nothing."""
    try:
        admission = records.admissions.get(*version)
    except Tampered:
        return "how it came into force does not verify"
    if admission is None or admission.policy_sha256 != _policy_sha256(records, version):
        return "another policy came into force than is there"
    if not rests_on(admission, records.admissions.approvals(*version), officers):
        return "an approval is missing, or does not verify"
    return None


def _policy_sha256(records: Records, version: Version) -> str:
    return canonical.digest(records.purposes.signed(*version).document).hex()

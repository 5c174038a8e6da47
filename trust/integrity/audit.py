"""
Audit: checks that every recorded decision still exists and is as it was signed.

The telemetry database stores a witness of each decision in the vault (`trust.integrity.witness`).
A decision with a witness that is missing in the vault was deleted, or lost in a restore.
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
from trust.domain.units import Cause, UnitKind
from trust.errors import Tampered
from trust.integrity.witness import Chain, Version, Witness
from trust.vault.isolation import attempt
from trust.vault.protocols import Records, Vault

_PAGE: Final = 2000
_LATE: Final = 1000
"""How many positions below the highest one a decision may be and still be committed later."""


class AuditFindings(msgspec.Struct, frozen=True):
    """The result of an audit of the decisions."""

    decisions: int
    missing: int
    """Number of missing decisions, also of people whom the vault no longer knows."""
    cut: dict[Chain, int]
    """Number of missing decisions by chain, as far as the chains are known."""


class Read(msgspec.Struct, frozen=True):
    """The result of verifying every decision and policy in the vault."""

    broken: list[Chain]
    """Chains that cannot be read, or in which a signature, of trust or of an officer who vouched,
    does not verify."""
    unproven: int
    """Number of yes decisions without a method or a text, as earlier releases recorded them."""
    policies_verify: bool


class PoliciesFound(msgspec.Struct, frozen=True):
    """The result of an audit of the versions of purposes."""

    problems: dict[Version, str]
    gone: int
    """Number of versions that no longer exist."""
    unapproved: int
    """Number of versions loaded by releases that asked for no approval."""


class Audit:
    """
    Compares the vault with the witnesses in the telemetry database.

    Args:
        vault: The vault that keeps the decisions.

        witness: The witnesses of the decisions.
    """

    def __init__(self, vault: Vault, witness: Witness) -> None:
        self._vault = vault
        self._witness = witness
        self._position = 0

    def note(self) -> None:
        """
        Store witnesses of recent decisions; `look` stores any that this method misses.

        Raises:
            Unavailable: A database does not answer; the caller must try again later.
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
        Store a witness of every decision; return how many witnessed decisions are missing.

        Raises:
            Unavailable: A database does not answer; the caller must try again later.
        """
        cut: dict[Chain, int] = {}
        for chains in self._pages():
            self._witness.note(chains)
            for chain in self._witness.cut(chains):
                cut[chain] = self._witness.missing(chain, chains[chain])
        # Witnesses are counted first, so a decision recorded meanwhile does not seem missing.
        remembered = self._witness.count()
        with self._vault.transaction() as records:
            decisions = records.decisions.count()
        missing = max(remembered - decisions, sum(cut.values()), 0)
        return AuditFindings(decisions, missing, cut)

    def read(self) -> Read:
        """Verify every decision and policy; return those that are not as they were signed."""
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
        Check how the versions of purposes came into force, as far as this is still on record.

        Raises:
            Unavailable: A database does not answer; the caller must try again later.
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
        def read() -> list[Decision]:
            with self._vault.transaction() as records:
                return records.decisions.chain(*chain)

        found = attempt(read, kind=UnitKind.PERSON)
        if isinstance(found, Cause):
            return None
        return found if all(holds(one, officers) for one in found) else None

    def _officers(self) -> Mapping[UUID, Known]:
        with self._vault.transaction() as records:
            try:
                return records.officers.all()
            except Tampered:
                # Without officers, the facts that they vouched for do not verify and are reported.
                return {}

    def _pages(self) -> Iterator[Mapping[Chain, int]]:
        """Yield pages of the number of decisions for each (subject, purpose)."""
        after = UUID(int=0)
        while True:
            with self._vault.transaction() as records:
                chains = records.decisions.chain_lengths(after=after, limit=_PAGE)
            if not chains:
                return
            yield chains
            after = max(subject for subject, _ in chains)


def _problem(records: Records, version: Version, officers: Mapping[UUID, Known]) -> str | None:
    """Return the problem with how *version* came into force, or None."""
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

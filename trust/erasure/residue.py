"""Where data of an erasure are still found: in the databases, in the vault, in their files."""

from trust.erasure.verification import Verifier
from trust.vault.protocols import Vault
from trust.vault.records.erasures import Erasure


class ResidueSearch:
    """
    Looks for what is left of an erasure. Changes nothing.

    Args:
        vault: The vault, with the ledger and the identities.

        verifier: Looks through the databases.
    """

    def __init__(self, vault: Vault, verifier: Verifier) -> None:
        self._vault = vault
        self._verifier = verifier

    def of(self, erasure: Erasure) -> list[str]:
        """
        Return the places that hold data of *erasure*, sorted; empty for none.

        Raises:
            Tampered: The record of the erasure does not verify.
            Unavailable: A database cannot be looked through.
        """
        back = self._verifier.back_of(erasure.number)
        found = set() if back is None else set(back.where())
        with self._vault.transaction() as records:
            if erasure.purpose is None and records.handles.of(erasure.subject, None):
                found.add("vault handles")
            if erasure.purpose is None and not records.subjects.is_erased(erasure.subject):
                found.add("vault identity")
            waiting = [
                one for one in records.erasures.found_again() if one.number == erasure.number
            ]
        if not all(one.is_rewritten for one in waiting):
            found.add("files that are still to be rewritten")
        return sorted(found)

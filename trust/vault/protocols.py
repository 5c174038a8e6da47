"""
The protocols of the vault: a transaction gives access to one repository for each aggregate.

The protocols are here and not in `trust.ports`, because they use decisions, handles and erasures,
which are in layers above `trust.ports`. The protocol of each repository is in
`trust.vault.records`, beside the values of its aggregate; `trust.vault.postgres` implements them.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from trust.vault.records.agents import Agents
from trust.vault.records.decisions import Decisions
from trust.vault.records.dossiers import Dossiers
from trust.vault.records.enrolments import Enrolments
from trust.vault.records.epochs import Epochs
from trust.vault.records.erasures import Erasures
from trust.vault.records.handles import Handles
from trust.vault.records.leases import Leases
from trust.vault.records.officers import Officers, Reidentifications
from trust.vault.records.purposes import Admissions, Purposes
from trust.vault.records.requests import Exports, Requests
from trust.vault.records.set_aside import SetAsideRegister
from trust.vault.records.subjects import Representatives, Subjects


class Records(Protocol):
    """The repositories of the vault, within one transaction."""

    subjects: Subjects
    representatives: Representatives
    purposes: Purposes
    admissions: Admissions
    decisions: Decisions
    agents: Agents
    handles: Handles
    leases: Leases
    set_aside: SetAsideRegister
    epochs: Epochs
    enrolments: Enrolments
    officers: Officers
    reidentifications: Reidentifications
    requests: Requests
    exports: Exports
    erasures: Erasures
    dossiers: Dossiers

    def isolated(self) -> AbstractContextManager[None]:
        """
        Take back what is done inside if it raises; the transaction goes on in both cases.

        Raises:
            VaultUnavailable: A row cannot be read or written; the error is of this row.
        """
        ...


class Vault(Protocol):
    """The store of people, decisions, gateways, leases and erasures."""

    def transaction(self) -> AbstractContextManager[Records]:
        """
        Yield the records; changes are committed when the block ends, and rolled back when the
        block raises an error.

        Raises:
            VaultUnavailable: The database cannot be used, or refused a row.
        """
        ...

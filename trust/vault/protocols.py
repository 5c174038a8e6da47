"""
The vault, as procedures use it: transactions, and in each the repository of every aggregate.

The protocols stand here and not in `trust.ports`, because they speak of decisions, handles and
erasures, which are above it. Those of the repositories are in `trust.vault.records`, one for each
aggregate, beside its values; `trust.vault.postgres` fills them.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from trust.vault.records.agents import Agents
from trust.vault.records.decisions import Decisions
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
    """What the vault keeps, seen from inside one transaction."""

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


class Vault(Protocol):
    """Where people, decisions, gateways, leases and erasures are kept."""

    def transaction(self) -> AbstractContextManager[Records]:
        """
        Yield the records; what was done with them is committed when the block ends well, and
        taken back when it raises.

        Raises:
            VaultUnavailable: The database does not do its part.
        """
        ...

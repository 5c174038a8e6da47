"""A vault in memory: the same repositories and the same transactions, without a server."""

import contextlib
import copy
from collections.abc import Callable, Iterator

from tests.fakes.vault.agents import MemoryAgents
from tests.fakes.vault.decisions import MemoryDecisions
from tests.fakes.vault.dossiers import MemoryDossiers
from tests.fakes.vault.enrolments import MemoryEnrolments
from tests.fakes.vault.epochs import MemoryEpochs
from tests.fakes.vault.erasures import MemoryErasures
from tests.fakes.vault.handles import MemoryHandles
from tests.fakes.vault.leases import MemoryLeases
from tests.fakes.vault.officers import MemoryOfficers, MemoryReidentifications
from tests.fakes.vault.purposes import MemoryAdmissions, MemoryPurposes
from tests.fakes.vault.requests import MemoryExports, MemoryRequests
from tests.fakes.vault.set_aside import MemorySetAsideRegister
from tests.fakes.vault.subjects import MemoryRepresentatives, MemorySubjects
from tests.fakes.vault.tables import Tables
from trust.ports import Clock, Keys
from trust.vault.protocols import Records, Vault


class MemoryRecords(Records):
    """
    The repositories of a vault in memory, within one transaction.

    Args:
        tables: The tables of the vault.

        keys: Keys to sign, verify, seal and open with.

        clock: Returns the time of the database.
    """

    def __init__(self, tables: Tables, keys: Keys, clock: Clock) -> None:
        self._tables = tables
        self.subjects = MemorySubjects(tables, keys, clock)
        self.representatives = MemoryRepresentatives(tables, keys, clock)
        self.purposes = MemoryPurposes(tables, keys, clock)
        self.admissions = MemoryAdmissions(tables, keys, clock)
        self.decisions = MemoryDecisions(tables, keys, clock)
        self.agents = MemoryAgents(tables, keys, clock)
        self.handles = MemoryHandles(tables, keys, clock)
        self.leases = MemoryLeases(tables, keys, clock)
        self.set_aside = MemorySetAsideRegister(tables, keys, clock)
        self.epochs = MemoryEpochs(tables, keys, clock)
        self.enrolments = MemoryEnrolments(tables, keys, clock)
        self.officers = MemoryOfficers(tables, keys, clock)
        self.reidentifications = MemoryReidentifications(tables, keys, clock)
        self.requests = MemoryRequests(tables, keys, clock)
        self.exports = MemoryExports(tables, keys, clock)
        self.erasures = MemoryErasures(tables, keys, clock)
        self.dossiers = MemoryDossiers(tables, keys, clock)

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        before = copy.deepcopy(vars(self._tables))
        try:
            yield
        except BaseException:
            vars(self._tables).update(before)
            raise


class MemoryVault(Vault):
    """
    A vault in memory. The changes of a transaction are undone when its block raises an error.

    Args:
        keys: Keys to sign, verify, seal and open with.

        clock: Returns the time of the database.
    """

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self.tables = Tables()
        self.before_commit: Callable[[], None] = lambda: None
        """
        Called when a block has ended without an error; if it raises one, the transaction is
        undone.
        """
        self.working: Tables | None = None
        """The tables as the open transaction has changed them; None if no transaction is open."""
        self._keys = keys
        self._clock = clock

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Records]:
        if self.working is not None:
            raise RuntimeError("a transaction is open: one session has one at a time")
        working = self.working = copy.deepcopy(self.tables)
        try:
            yield MemoryRecords(working, self._keys, self._clock)
            self.before_commit()
        finally:
            self.working = None
        self.tables = working

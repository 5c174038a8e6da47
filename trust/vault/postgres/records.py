"""Every repository of the vault, in one transaction of PostgreSQL."""

import contextlib
from collections.abc import Iterator

from runtime.logs import describe
from trust.domain.purposes import Purpose
from trust.errors import VaultUnavailable
from trust.ports import Keys
from trust.vault.database import Connection, DriverError, is_of_a_row
from trust.vault.postgres.agents import PostgresAgents
from trust.vault.postgres.decisions import PostgresDecisions
from trust.vault.postgres.dossiers import PostgresDossiers
from trust.vault.postgres.enrolments import PostgresEnrolments
from trust.vault.postgres.epochs import PostgresEpochs
from trust.vault.postgres.erasures import PostgresErasures
from trust.vault.postgres.handles import PostgresHandles
from trust.vault.postgres.leases import PostgresLeases
from trust.vault.postgres.officers import PostgresOfficers, PostgresReidentifications
from trust.vault.postgres.purposes import PostgresAdmissions, PostgresPurposes
from trust.vault.postgres.requests import PostgresExports, PostgresRequests
from trust.vault.postgres.set_aside import PostgresSetAsideRegister
from trust.vault.postgres.subjects import PostgresRepresentatives, PostgresSubjects
from trust.vault.protocols import Records


class PostgresRecords(Records):
    """
    The repositories of the vault in one transaction of PostgreSQL.

    Args:
        connection: A connection inside that transaction.

        keys: Keys to sign, verify, seal and open with.

        purposes: Versions of purposes that were read before, by name and version. They never
            change, and new ones are added.
    """

    def __init__(
        self, connection: Connection, keys: Keys, purposes: dict[tuple[str, int], Purpose]
    ) -> None:
        self._connection = connection
        self.subjects = PostgresSubjects(connection, keys)
        self.representatives = PostgresRepresentatives(connection, keys)
        self.purposes = PostgresPurposes(connection, keys, purposes)
        self.admissions = PostgresAdmissions(connection, keys)
        self.decisions = PostgresDecisions(connection, keys)
        self.agents = PostgresAgents(connection, keys)
        self.handles = PostgresHandles(connection, keys)
        self.leases = PostgresLeases(connection, keys)
        self.set_aside = PostgresSetAsideRegister(connection, keys)
        self.epochs = PostgresEpochs(connection, keys)
        self.enrolments = PostgresEnrolments(connection, keys)
        self.officers = PostgresOfficers(connection, keys)
        self.reidentifications = PostgresReidentifications(connection, keys)
        self.requests = PostgresRequests(connection, keys)
        self.exports = PostgresExports(connection, keys)
        self.dossiers = PostgresDossiers(
            connection, keys, subjects=self.subjects, representatives=self.representatives
        )
        self.erasures = PostgresErasures(
            connection, keys, subjects=self.subjects, decisions=self.decisions
        )

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        try:
            with self._connection.transaction():
                yield
        except DriverError as exc:
            if self._connection.closed or not is_of_a_row(exc):
                raise
            raise VaultUnavailable(describe(exc), is_of_a_row=True) from None

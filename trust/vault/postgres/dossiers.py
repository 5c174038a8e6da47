"""Dossiers of people, in PostgreSQL."""

from collections.abc import Collection
from uuid import UUID

from runtime.database import named_sql
from trust.domain import canonical
from trust.domain.reidentify import ReidentificationRequest
from trust.errors import NotFound, Tampered
from trust.ports import Keys
from trust.vault.database import Connection, Row
from trust.vault.postgres.requests import request_of
from trust.vault.records.dossiers import (
    BoundSensors,
    Dossier,
    Dossiers,
    GatewayRecord,
    NamedRepresentative,
    RecordedExport,
    RecordedReidentification,
    Rectification,
    bound_sensors,
    opened_name,
)
from trust.vault.records.erasures import Erasure
from trust.vault.records.handles import SealedHandle
from trust.vault.records.subjects import Representatives, Subjects
from trust.vault.repository import Repository


class PostgresDossiers(Repository, Dossiers):
    """
    The statements of dossiers.sql.

    Args:
        connection: A connection inside the transaction.

        keys: Keys to open with.

        subjects: The repository of people in the same transaction.

        representatives: The repository of their representatives in the same transaction.
    """

    _sql = named_sql.read("trust.vault", "dossiers.sql")

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        *,
        subjects: Subjects,
        representatives: Representatives,
    ) -> None:
        super().__init__(connection, keys)
        self._subjects = subjects
        self._representatives = representatives

    def of(self, subject: UUID) -> Dossier:
        rows = self._fetch("added_at", subject)
        if not rows:
            raise NotFound("subject", "Add one with `vitalveil trust subject add`.")
        return Dossier(
            added_at=rows[0][0],
            sensors=[self._sensors(row) for row in self._fetch("handles", subject)],
            gateways=[GatewayRecord(*row) for row in self._fetch("gateways", subject)],
            rectifications=[Rectification(*row) for row in self._fetch("rectifications", subject)],
            requests=[request_of(row) for row in self._fetch("requests", subject)],
            exports=[RecordedExport(*row) for row in self._fetch("exports", subject)],
            representatives=self._named(subject),
            erasures=[Erasure(*row) for row in self._fetch("erasures", subject)],
        )

    def _sensors(self, row: Row) -> BoundSensors:
        *sealed, ended_at = row
        return bound_sensors(SealedHandle(*sealed), ended_at, self._keys)

    def _named(self, subject: UUID) -> list[NamedRepresentative]:
        data_key = self._subjects.data_key(subject)
        names = {
            representative: opened_name(bytes(sealed), representative, data_key)
            for representative, sealed in self._fetch("names", subject)
        }
        return [
            NamedRepresentative(one, names.get(one.representative))
            for one in self._representatives.of(subject)
        ]

    def reidentifications(self, pseudonyms: Collection[str]) -> list[RecordedReidentification]:
        found = []
        for document, approvals, opened_at in self._fetch("reidentifications", list(pseudonyms)):
            try:
                request = canonical.decode(
                    bytes(document), ReidentificationRequest, what="a request"
                )
            except Tampered:
                # Whose pseudonym an unreadable request names is told to the auditor, not here.
                continue
            found.append(RecordedReidentification(request, approvals, opened_at))
        return found

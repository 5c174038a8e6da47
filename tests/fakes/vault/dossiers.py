"""Dossiers of people, in memory."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.subjects import MemorySubjects
from tests.fakes.vault.tables import HandleRow
from trust.domain.reidentify import ReidentificationRequest
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
from trust.vault.records.handles import SealedHandle


class MemoryDossiers(MemoryRepository, Dossiers):
    """Dossiers of people, in memory."""

    def of(self, subject: UUID) -> Dossier:
        tables = self._tables
        data_key = MemorySubjects(tables, self._keys, self._now).data_key(subject)
        handles = [(h, row) for h, row in tables.handles.items() if row.subject == subject]
        agents = dict.fromkeys(row.agent for _, row in handles)
        return Dossier(
            added_at=tables.subjects[subject].added_at,
            sensors=[self._sensors(handle, row) for handle, row in handles],
            gateways=[
                GatewayRecord(agent, tables.agents[agent].enrolled_at,
                              tables.agents[agent].revoked_at)
                for agent in agents
            ],
            rectifications=[
                Rectification(fields, at) for who, fields, at in tables.rectifications
                if who == subject
            ],
            requests=[one for one in tables.requests.values() if one.subject == subject],
            exports=[
                RecordedExport(row.record.export, row.made_at, row.record.observations,
                           row.record.expires_at, row.deleted_at)
                for row in tables.exports.values() if row.record.subject == subject
            ],
            representatives=[
                NamedRepresentative(
                    msgspec.structs.replace(row.value, ended_at=row.ended_at),
                    opened_name(row.sealed, row.value.representative, data_key),
                )
                for row in tables.representatives.values() if row.value.subject == subject
            ],
            erasures=[one for one in tables.erasures.values() if one.subject == subject],
        )  # fmt: skip

    def _sensors(self, handle: bytes, row: HandleRow) -> BoundSensors:
        sealed = SealedHandle(
            handle, row.subject, row.agent, row.purpose, row.decision, row.sealed_bindings,
            row.key_epoch, self._tables.subjects[row.subject].wrapped_key, row.unbound_at,
            row.sealed_unbound, row.issued_at,
        )  # fmt: skip
        return bound_sensors(sealed, row.ended_at, self._keys)

    def reidentifications(self, pseudonyms: Collection[str]) -> list[RecordedReidentification]:
        read = [
            (msgspec.json.decode(row.signed.document, type=ReidentificationRequest), row)
            for row in self._tables.reidentifications.values()
            if any(named.encode() in row.signed.document for named in pseudonyms)
        ]
        return [
            RecordedReidentification(one, len(row.approvals), row.opened_at) for one, row in read
        ]

"""People and their representatives, in memory."""

import datetime as dt
from uuid import UUID

import msgspec

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import RepresentativeRow, SubjectRow, require
from trust.decisions.representatives import Representative, RepresentativeRole
from trust.domain import canonical, subjects
from trust.domain.subjects import PersonalDetails
from trust.errors import NotFound
from trust.vault.records.subjects import Representatives, Subjects


class MemorySubjects(MemoryRepository, Subjects):
    """People, in memory."""

    def add(self, subject: UUID, identity: PersonalDetails) -> None:
        require(subject not in self._tables.subjects, "subjects_pkey")
        data_key = subjects.new_data_key()
        self._tables.subjects[subject] = SubjectRow(
            self._keys.wrap(data_key, bound_to=subject.bytes),
            subjects.seal_identity(identity, subject=subject, data_key=data_key),
            self._now(),
        )

    def data_key(self, subject: UUID) -> bytes:
        return self._keys.unwrap(self._live(subject).wrapped_key, bound_to=subject.bytes)

    def hold(self, subject: UUID) -> bytes:
        return self.data_key(subject)

    def personal_details(self, subject: UUID) -> PersonalDetails:
        data_key = self.data_key(subject)
        sealed = self._live(subject).sealed
        return subjects.open_identity(sealed, subject=subject, data_key=data_key)

    def rectify(self, subject: UUID, *, name: str | None, born: str | None) -> list[str]:
        before = self.personal_details(subject)
        after = PersonalDetails(
            before.name if name is None else name, before.born if born is None else born
        )
        was, now = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
        fields = [field for field in was if was[field] != now[field]]
        if fields:
            self._live(subject).sealed = subjects.seal_identity(
                after, subject=subject, data_key=self.data_key(subject)
            )
            self._tables.rectifications.append((subject, fields, self._now()))
        return fields

    def page(self, *, after: UUID, limit: int) -> list[tuple[UUID, dt.datetime]]:
        rows = sorted((s, row.added_at) for s, row in self._tables.subjects.items() if s > after)
        return rows[:limit]

    def exists(self, subject: UUID) -> bool:
        return subject in self._tables.subjects

    def is_erased(self, subject: UUID) -> bool:
        row = self._tables.subjects.get(subject)
        if row is None:
            raise NotFound("subject", "Give the id that `subject add` printed.")
        return row.erased_at is not None

    def data_key_id(self, subject: UUID) -> str:
        return canonical.digest(self._tables.subjects[subject].wrapped_key)[:8].hex()

    def destroy_key(self, subject: UUID) -> bool:
        row = self._tables.subjects.get(subject)
        if row is None or row.erased_at is not None:
            return False
        row.wrapped_key, row.sealed, row.erased_at = b"", b"", self._now()
        return True

    def _live(self, subject: UUID) -> SubjectRow:
        row = self._tables.subjects.get(subject)
        if row is None or row.erased_at is not None:
            raise NotFound("subject", "Add one with `vitalveil trust subject add`.")
        return row


class MemoryRepresentatives(MemoryRepository, Representatives):
    """People who decide for others, in memory."""

    def add(self, representative: Representative, *, name: str) -> None:
        people = MemorySubjects(self._tables, self._keys, self._now)
        people.personal_details(representative.subject)
        sealed = subjects.seal_identity(
            PersonalDetails(name),
            subject=representative.representative,
            data_key=people.data_key(representative.subject),
        )
        found = self._tables.representatives
        require(representative.representative not in found, "representatives_pkey")
        found[representative.representative] = RepresentativeRow(representative, sealed)

    def of(self, subject: UUID) -> list[Representative]:
        return [
            msgspec.structs.replace(row.value, ended_at=row.ended_at)
            for row in self._tables.representatives.values()
            if row.value.subject == subject
        ]

    def wards(self) -> list[UUID]:
        return sorted(
            {
                row.value.subject
                for row in self._tables.representatives.values()
                if row.value.role is RepresentativeRole.GUARDIAN
                and self._tables.subjects[row.value.subject].erased_at is None
            }
        )

    def end(self, representative: UUID) -> None:
        row = self._tables.representatives.get(representative)
        if row is None or row.ended_at is not None:
            raise NotFound("representative", "See `vitalveil trust representative list`.")
        row.ended_at = self._now()

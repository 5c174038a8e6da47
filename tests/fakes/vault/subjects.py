"""People and their representatives, in memory."""

import contextlib
import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import msgspec

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import RepresentativeRow, SubjectRow, require
from trust.decisions.representatives import Representative, RepresentativeRole
from trust.domain import canonical, subjects
from trust.domain.identity.national import NationalIdentity
from trust.domain.subjects import PersonalDetails
from trust.errors import NotFound, Tampered
from trust.vault.records.subjects import (
    Alike,
    Representatives,
    SubjectFilter,
    Subjects,
    SubjectState,
    SubjectSummary,
)


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

    def details_of(self, subjects: Sequence[UUID]) -> dict[UUID, PersonalDetails]:
        found = {}
        for subject in subjects:
            with contextlib.suppress(NotFound, Tampered):
                found[subject] = self.personal_details(subject)
        return found

    def search(self, wanted: SubjectFilter, *, after: UUID, limit: int) -> list[SubjectSummary]:
        summaries = [self._summary(s) for s in sorted(self._tables.subjects) if s > after]
        return [one for one in summaries if _admits(wanted, one)][:limit]

    def _summary(self, subject: UUID) -> SubjectSummary:
        row = self._tables.subjects[subject]
        live = [
            one
            for one in self._tables.handles.values()
            if one.subject == subject and one.ended_at is None
        ]
        return SubjectSummary(
            subject,
            row.added_at,
            row.erased_at,
            sorted({one.purpose for one in live}),
            sorted({one.agent for one in live}),
        )

    def alike(self, details: PersonalDetails) -> Alike:
        key = self._keys.likeness_key
        name, ins = subjects.likenesses(details, key=key)
        known = {
            subject: subjects.likenesses(found, key=key)
            for subject, found in self.details_of(sorted(self._tables.subjects)).items()
        }
        return Alike(
            [subject for subject, (other, _) in known.items() if other == name],
            [subject for subject, (_, other) in known.items() if other == ins and ins],
        )

    def rectify(
        self,
        subject: UUID,
        *,
        name: str | None,
        born: str | None,
        identity: NationalIdentity | None = None,
    ) -> list[str]:
        before = self.personal_details(subject)
        after, fields = subjects.rectified(before, name=name, born=born, identity=identity)
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
        self._tables.read(subject)
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


def _admits(wanted: SubjectFilter, one: SubjectSummary) -> bool:
    is_of_state = {
        None: one.erased_at is None,
        SubjectState.ALL: True,
        SubjectState.ERASED: one.erased_at is not None,
        SubjectState.MEASURED: bool(one.agents),
        SubjectState.NOT_MEASURED: one.erased_at is None and not one.agents,
    }[wanted.state]
    return (
        is_of_state
        and (wanted.added_since is None or one.added_at >= wanted.added_since)
        and wanted.purpose in (None, *one.purposes)
        and wanted.agent in (None, *one.agents)
    )


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

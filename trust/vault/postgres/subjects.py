"""People and their representatives, in PostgreSQL."""

import datetime as dt
from uuid import UUID

from runtime.database import named_sql
from trust.decisions.representatives import Representative, RepresentativeRole, Shown
from trust.domain import canonical, subjects
from trust.domain.subjects import PersonalDetails
from trust.errors import NotFound
from trust.vault.postgres.repository import Repository
from trust.vault.records.subjects import Representatives, Subjects


class PostgresSubjects(Repository, Subjects):
    """The statements of subjects.sql."""

    _sql = named_sql.read("trust.vault", "subjects.sql")

    def add(self, subject: UUID, identity: PersonalDetails) -> None:
        data_key = subjects.new_data_key()
        sealed = subjects.seal_identity(identity, subject=subject, data_key=data_key)
        wrapped = self._keys.wrap(data_key, bound_to=subject.bytes)
        self._run("add_subject", subject, self._keys.key_id, wrapped, sealed)

    def data_key(self, subject: UUID) -> bytes:
        return self._data_key("data_key", subject)

    def hold(self, subject: UUID) -> bytes:
        return self._data_key("hold_subject", subject)

    def _data_key(self, query: str, subject: UUID) -> bytes:
        rows = self._fetch(query, subject)
        if not rows:
            raise NotFound("subject", "Add one with `vitalveil trust subject add`.")
        return self._keys.unwrap(bytes(rows[0][0]), bound_to=subject.bytes)

    def personal_details(self, subject: UUID) -> PersonalDetails:
        identity, _ = self.opened(subject)
        return identity

    def opened(self, subject: UUID) -> tuple[PersonalDetails, bytes]:
        rows = self._fetch("personal_details", subject)
        if not rows:
            raise NotFound("subject", "Add one with `vitalveil trust subject add`.")
        sealed, wrapped = map(bytes, rows[0])
        data_key = self._keys.unwrap(wrapped, bound_to=subject.bytes)
        return subjects.open_identity(sealed, subject=subject, data_key=data_key), data_key

    def rectify(self, subject: UUID, *, name: str | None, born: str | None) -> list[str]:
        before, data_key = self.opened(subject)
        after = PersonalDetails(
            before.name if name is None else name, before.born if born is None else born
        )
        fields = [
            field
            for field in PersonalDetails.__struct_fields__
            if getattr(before, field) != getattr(after, field)
        ]
        if fields:
            sealed = subjects.seal_identity(after, subject=subject, data_key=data_key)
            self._run("rectify", sealed, subject)
            self._run("add_rectification", subject, fields)
        return fields

    def page(self, *, after: UUID, limit: int) -> list[tuple[UUID, dt.datetime]]:
        return [(subject, at) for subject, at in self._fetch("page", after, limit)]

    def exists(self, subject: UUID) -> bool:
        return bool(self._fetch("key_state", subject))

    def is_erased(self, subject: UUID) -> bool:
        rows = self._fetch("key_state", subject)
        if not rows:
            raise NotFound("subject", "Give the id that `subject add` printed.")
        return rows[0][0] is not None

    def data_key_id(self, subject: UUID) -> str:
        rows = self._fetch("key_state", subject)
        return canonical.digest(bytes(rows[0][1]))[:8].hex()

    def destroy_key(self, subject: UUID) -> bool:
        return self._run("destroy_key", subject) == 1


class PostgresRepresentatives(Repository, Representatives):
    """The statements of representatives.sql."""

    _sql = named_sql.read("trust.vault", "representatives.sql")

    def add(self, representative: Representative, *, name: str) -> None:
        people = PostgresSubjects(self._connection, self._keys)
        _, data_key = people.opened(representative.subject)
        sealed = subjects.seal_identity(
            PersonalDetails(name), subject=representative.representative, data_key=data_key
        )
        self._run(
            "add_representative",
            representative.representative,
            representative.subject,
            representative.role,
            representative.purposes,
            representative.valid_from,
            representative.valid_to,
            sealed,
            representative.shown,
        )

    def of(self, subject: UUID) -> list[Representative]:
        return [
            Representative(
                found,
                whose,
                RepresentativeRole(role),
                purposes,
                begins,
                ends,
                ended_at,
                None if shown is None else Shown(shown),
            )
            for found, whose, role, purposes, begins, ends, ended_at, shown in self._fetch(
                "representatives", subject
            )
        ]

    def wards(self) -> list[UUID]:
        return [subject for (subject,) in self._fetch("wards")]

    def end(self, representative: UUID) -> None:
        if not self._run("end_representative", representative):
            raise NotFound("representative", "See `vitalveil trust representative list`.")

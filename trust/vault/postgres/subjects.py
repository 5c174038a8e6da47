"""People and their representatives, in PostgreSQL."""

import contextlib
import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from runtime.database import named_sql
from trust.decisions.representatives import Representative, RepresentativeRole, Shown
from trust.domain import canonical, subjects
from trust.domain.identity.national import NationalIdentity
from trust.domain.subjects import PersonalDetails
from trust.errors import NotFound, Tampered
from trust.vault.database import DriverError, is_of_a_row
from trust.vault.records.subjects import (
    Alike,
    Representatives,
    SubjectFilter,
    Subjects,
    SubjectSummary,
)
from trust.vault.repository import Repository


class PostgresSubjects(Repository, Subjects):
    """The statements of subjects.sql."""

    _sql = named_sql.read("trust.vault", "subjects.sql")

    def add(self, subject: UUID, identity: PersonalDetails) -> None:
        data_key = subjects.new_data_key()
        sealed = subjects.seal_identity(identity, subject=subject, data_key=data_key)
        wrapped = self._keys.wrap(data_key, bound_to=subject.bytes)
        likeness = subjects.likenesses(identity, key=self._keys.likeness_key)
        self._run("add_subject", subject, self._keys.key_id, wrapped, sealed, *likeness)

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
        return self._open(subject, sealed, wrapped)

    def _open(self, subject: UUID, sealed: bytes, wrapped: bytes) -> tuple[PersonalDetails, bytes]:
        data_key = self._keys.unwrap(wrapped, bound_to=subject.bytes)
        return subjects.open_identity(sealed, subject=subject, data_key=data_key), data_key

    def details_of(self, subjects: Sequence[UUID]) -> dict[UUID, PersonalDetails]:
        found = {}
        for subject, sealed, wrapped in self._fetch("details_of", list(subjects)):
            with contextlib.suppress(Tampered):
                found[subject] = self._open(subject, bytes(sealed), bytes(wrapped))[0]
        return found

    def search(self, wanted: SubjectFilter, *, after: UUID, limit: int) -> list[SubjectSummary]:
        since, purpose, agent = wanted.added_since, wanted.purpose, wanted.agent
        rows = self._fetch(
            "search", after, wanted.state, since, since,
            purpose, agent, purpose, purpose, agent, agent, limit,
        )  # fmt: skip
        return [SubjectSummary(*row) for row in rows]

    def alike(self, details: PersonalDetails) -> Alike:
        name, ins = subjects.likenesses(details, key=self._keys.likeness_key)
        is_unread = False
        try:
            with self._connection.transaction():
                self._calculate_likenesses()
        except DriverError as exc:
            # Without all digests, trust cannot say that a matricule is of no one else.
            if ins or self._connection.closed or not is_of_a_row(exc):
                raise
            is_unread = True
        for one in sorted(filter(None, (name, ins))):
            self._fetch("lock_likeness", one.hex())
        by_name: list[UUID] = []
        try:
            with self._connection.transaction():
                by_name = [subject for (subject,) in self._fetch("alike", name)]
        except DriverError as exc:
            if self._connection.closed or not is_of_a_row(exc):
                raise
            is_unread = True
        by_matricule = [subject for (subject,) in self._fetch("same_ins", ins)] if ins else []
        return Alike(by_name, by_matricule, is_unread=is_unread)

    def _calculate_likenesses(self) -> None:
        """Calculate the digests of people who were added before there were any."""
        while rows := self._fetch("without_likeness"):
            for subject, sealed, wrapped in rows:
                name, ins = b"", None
                # A damaged record resembles none, and does not stop the others.
                with contextlib.suppress(Tampered):
                    found, _ = self._open(subject, bytes(sealed), bytes(wrapped))
                    name, ins = subjects.likenesses(found, key=self._keys.likeness_key)
                self._run("set_likeness", name, ins, subject)

    def rectify(
        self,
        subject: UUID,
        *,
        name: str | None,
        born: str | None,
        identity: NationalIdentity | None = None,
    ) -> list[str]:
        before, data_key = self.opened(subject)
        after, fields = subjects.rectified(before, name=name, born=born, identity=identity)
        if fields:
            sealed = subjects.seal_identity(after, subject=subject, data_key=data_key)
            likeness = subjects.likenesses(after, key=self._keys.likeness_key)
            self._run("rectify", sealed, *likeness, subject)
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

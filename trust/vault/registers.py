"""
The registers of the vault beside its decisions, within one transaction.

Identities and representatives, tokens of enrolment, officers and what they asked for, epochs of
keys, what people asked for and were given.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from runtime.database import named_sql
from trust.decisions.representatives import Representative, RepresentativeRole, Shown
from trust.domain import canonical, subjects
from trust.domain.reidentify import Known, Officer, Signed
from trust.domain.subjects import PersonalDetails
from trust.domain.tokens import Issued, Token
from trust.errors import Conflict, NotFound
from trust.ports import Keys
from trust.vault.database import Connection, Row

_SQL: Final = named_sql.read(
    "trust.vault",
    "subjects.sql",
    "purposes.sql",
    "decisions.sql",
    "agents.sql",
    "representatives.sql",
    "enrolments.sql",
    "officers.sql",
    "reidentifications.sql",
    "epochs.sql",
)
_OFFICER_KIND: Final = "officer"


class Renewal(msgspec.Struct, frozen=True):
    """What a certificate was renewed with."""

    request_sha256: bytes
    certificate: bytes
    """The new one, PEM."""


class Registers:
    """
    The registers, seen from inside one transaction.

    Args:
        connection: In that transaction.

        keys: To sign, verify, seal and open with.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def _run(self, name: str, *arguments: Any) -> int:
        return self._connection.execute(_SQL[name], arguments).rowcount

    def _fetch(self, name: str, *arguments: Any) -> list[Row]:
        return self._connection.execute(_SQL[name], arguments).fetchall()

    # Identities

    def identity(self, subject: UUID) -> PersonalDetails:
        """
        Return who *subject* is.

        Raises:
            NotFound: There is no such subject.
            Tampered: The record does not open.
        """
        identity, _ = self._opened(subject)
        return identity

    def _opened(self, subject: UUID) -> tuple[PersonalDetails, bytes]:
        rows = self._fetch("identity", subject)
        if not rows:
            raise NotFound("subject", "Add one with `vitalveil trust subject add`.")
        sealed, wrapped = map(bytes, rows[0])
        data_key = self._keys.unwrap(wrapped, bound_to=subject.bytes)
        return subjects.open_identity(sealed, subject=subject, data_key=data_key), data_key

    def rectify(self, subject: UUID, *, name: str | None, born: str | None) -> list[str]:
        """Correct the identity of *subject*; return the fields that are others now."""
        before, data_key = self._opened(subject)
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

    def subjects(self, *, after: UUID, limit: int) -> list[tuple[UUID, dt.datetime]]:
        """Return subjects whose id is above *after*, and when they were added. No names."""
        return [(subject, at) for subject, at in self._fetch("subjects", after, limit)]

    # Decisions as they were signed, for receipts

    def signed_decisions(self, subject: UUID) -> list[tuple[bytes, bytes]]:
        """Return document and signature of each decision of *subject*, purpose by purpose."""
        rows = self._fetch("decisions_of_subject", subject)
        return [(bytes(document), bytes(signature)) for _, document, signature in rows]

    def recorded_at(self, subject: UUID) -> dict[UUID, dt.datetime]:
        """Return when each decision of *subject* was put on record here."""
        return dict(self._fetch("recorded_at", subject))

    def purposes_of(self, subject: UUID) -> list[str]:
        """Return the names of the purposes that *subject* decided on."""
        return sorted({purpose for purpose, _ in self.references(subject)})

    def references(self, subject: UUID) -> list[tuple[str, int]]:
        """Return name and version of each policy that a decision of *subject* names."""
        return [(purpose, version) for purpose, version in self._fetch("references", subject)]

    def signed_purpose(self, name: str, version: int) -> tuple[bytes, bytes]:
        """Return document and signature of a policy that is there."""
        document, signature = map(bytes, self._fetch("signed_purpose", name, version)[0])
        return document, signature

    # Representatives

    def add_representative(self, representative: Representative, *, name: str) -> None:
        """Keep *representative*, whose name is sealed under the subject's key."""
        _, data_key = self._opened(representative.subject)
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

    def representatives(self, subject: UUID) -> list[Representative]:
        """Return who may, or might, decide for *subject*."""
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
        """Return everybody who has or had a guardian."""
        return [subject for (subject,) in self._fetch("wards")]

    def end_representative(self, representative: UUID) -> None:
        """
        End a mandate.

        Raises:
            NotFound: There is none in force.
        """
        if not self._run("end_representative", representative):
            raise NotFound("representative", "See `vitalveil trust representative list`.")

    # Enrolment

    def add_enrolment(self, token: Token, *, format: str, expires_at: dt.datetime) -> None:
        """Keep what *token* is recognised by."""
        self._run("add_enrolment", token.enrolment, token.secret_sha256, format, expires_at)

    def lock_enrolment(self, enrolment: bytes) -> Issued | None:
        """Return a token; nobody else uses it until the transaction ends."""
        rows = self._fetch("lock_enrolment", enrolment)
        return Issued(*rows[0]) if rows else None

    def fail_enrolment(self, enrolment: bytes) -> None:
        """Count a wrong proof."""
        self._run("fail_enrolment", enrolment)

    def use_enrolment(
        self, enrolment: bytes, *, request_sha256: bytes, agent: str, certificate: bytes
    ) -> None:
        """Note what a token was used for."""
        self._run("use_enrolment", request_sha256, agent, certificate, enrolment)

    def certificate_owner(self, serial: int) -> tuple[str, bool] | None:
        """Return whose certificate has *serial*, and whether it or its agent is revoked."""
        rows = self._fetch("certificate_owner", serial)
        return (rows[0][0], rows[0][1]) if rows else None

    def renewal(self, serial: int) -> Renewal | None:
        """Return what the certificate *serial* was renewed with, if it was."""
        rows = self._fetch("renewal", serial)
        return Renewal(*map(bytes, rows[0])) if rows else None

    def add_renewal(self, serial: int, *, succeeded_by: int, answer: Renewal) -> None:
        """Note that the certificate *serial* was renewed: once for all."""
        self._run("add_renewal", serial, succeeded_by, answer.request_sha256, answer.certificate)

    def note_clone_sign(self, agent: str, kind: str) -> None:
        """Note a sign that two gateways use the identity of *agent*."""
        self._run("note_clone_sign", agent, kind)

    def vouch(self, agent: str) -> int:
        """Note that an operator has looked at the signs of *agent*; return how many there were."""
        return self._run("vouch", agent)

    def agents(self, *, after: str, limit: int) -> list[Row]:
        """Return agents whose id is above *after*, for a list."""
        return self._fetch("agents", after, limit)

    # Officers and re-identification

    def add_officer(self, officer: Officer) -> None:
        """
        Keep *officer*, signed.

        Raises:
            Conflict: Somebody has that key already: one person is one key.
        """
        document = canonical.encode(officer)
        added = self._run(
            "add_officer",
            officer.officer,
            officer.role,
            bytes.fromhex(officer.public_key),
            self._keys.key_id,
            self._keys.sign(canonical.to_sign(_OFFICER_KIND, document)),
            document,
        )
        if not added:
            raise Conflict("an officer has that key already, and each has one of her own")

    def officers(self) -> dict[UUID, Known]:
        """
        Return everybody who is or was an officer.

        Raises:
            Tampered: One is not as she was signed.
        """
        found = {}
        for document, signature, ended_at in self._fetch("officers"):
            signed = canonical.to_sign(_OFFICER_KIND, bytes(document))
            self._keys.verify(bytes(signature), signed, what="an officer")
            officer = canonical.decode(bytes(document), Officer, what="an officer")
            found[officer.officer] = Known(officer, ended_at)
        return found

    def end_officer(self, officer: UUID) -> None:
        """
        Note that *officer* is one no more.

        Raises:
            NotFound: There is no such officer.
        """
        if not self._run("end_officer", officer):
            raise NotFound("officer", "See `vitalveil trust officer list`.")

    def add_reidentification(self, request: UUID, requester: UUID, signed: Signed) -> None:
        """Keep a request, as it was signed."""
        self._run("add_reidentification", request, requester, signed.document, signed.signature)

    def reidentification(self, request: UUID) -> tuple[Signed, dt.datetime | None] | None:
        """Return a request, and when it was opened; nobody else opens it until the end."""
        rows = self._fetch("reidentification", request)
        if not rows:
            return None
        document, signature, opened_at = rows[0]
        return Signed(bytes(document), bytes(signature)), opened_at

    def requested_since(self, requester: UUID, since: dt.datetime) -> int:
        """Return how often *requester* has asked *since* a time."""
        return int(self._fetch("requested_since", requester, since)[0][0])

    def open_reidentification(self, request: UUID) -> bool:
        """Note that *request* is opened; return whether it was not before."""
        return self._run("open_reidentification", request) == 1

    def add_approval(self, request: UUID, approver: UUID, signed: Signed) -> None:
        """Keep an approval, as it was signed."""
        self._run("add_approval", request, approver, signed.document, signed.signature)

    def approvals(self, request: UUID) -> list[Signed]:
        """Return the approvals of *request*."""
        return [Signed(bytes(d), bytes(s)) for d, s in self._fetch("approvals", request)]

    def add_attempt(
        self, *, request: UUID | None, officer: UUID | None, action: str, outcome: str
    ) -> None:
        """Put on record that something was tried, and what came of it."""
        self._run("add_attempt", request, officer, action, outcome)

    def attempts(self, *, limit: int) -> list[Row]:
        """Return the latest attempts, the last one first."""
        return self._fetch("attempts", limit)

    def subjects_of_purpose(self, purpose: str) -> Iterator[UUID]:
        """Yield everybody who ever had a handle for *purpose*."""
        with self._connection.cursor(name="subjects_of_purpose") as cursor:
            cursor.itersize = 10_000
            cursor.execute(_SQL["subjects_of_purpose"], [purpose])
            for (subject,) in cursor:
                yield subject

"""Versions of purposes, and how they came into force, in PostgreSQL."""

import datetime as dt

from runtime.database import named_sql
from trust.domain import canonical
from trust.domain.approval import Admission, PolicyApproval
from trust.domain.purposes import Purpose
from trust.domain.reidentify import Signed
from trust.errors import NotFound
from trust.ports import Keys
from trust.vault.database import Connection
from trust.vault.records.purposes import (
    Admissions,
    Purposes,
    sign_admission,
    sign_purpose,
    verified_admission,
    verified_purpose,
)
from trust.vault.repository import Repository


class PostgresPurposes(Repository, Purposes):
    """
    The statements of purposes.sql.

    Args:
        connection: A connection inside the transaction.

        keys: Keys to sign and verify with.

        known: Versions that were read and verified in any earlier transaction, by name and
            version. They never change.
    """

    _sql = named_sql.read("trust.vault", "purposes.sql")

    def __init__(
        self, connection: Connection, keys: Keys, known: dict[tuple[str, int], Purpose]
    ) -> None:
        super().__init__(connection, keys)
        self._known = known

    def add(self, purpose: Purpose) -> bool:
        signed = sign_purpose(purpose, self._keys)
        added = self._run(
            "add_purpose",
            purpose.name,
            purpose.version,
            signed.document,
            canonical.digest(signed.document),
            self._keys.key_id,
            signed.signature,
        )
        return added == 1

    def share(self, purpose: str) -> None:
        self._fetch("share_purpose", purpose)

    def lock(self, purpose: str) -> None:
        self._fetch("lock_purpose", purpose)

    def versions(self, purpose: str) -> list[int]:
        return [version for (version,) in self._fetch("versions", purpose)]

    def get(self, name: str, version: int) -> Purpose:
        if (name, version) not in self._known:
            signed = self.signed(name, version)
            self._known[name, version] = verified_purpose(signed, name, version, self._keys)
        return self._known[name, version]

    def loaded_at(self, name: str, version: int) -> dt.datetime:
        loaded_at: dt.datetime = self._fetch("loaded_at", name, version)[0][0]
        return loaded_at

    def references(self) -> list[tuple[str, int]]:
        return [(name, version) for name, version in self._fetch("references")]

    def all(self) -> list[Purpose]:
        return [self.get(name, version) for name, version in self.references()]

    def names(self) -> list[str]:
        return [purpose for (purpose,) in self._fetch("names")]

    def signed(self, name: str, version: int) -> Signed:
        rows = self._fetch("purpose", name, version)
        if not rows:
            raise NotFound("purpose", "Load its policy with `vitalveil trust policy load`.")
        document, signature = rows[0]
        return Signed(bytes(document), bytes(signature))


class PostgresAdmissions(Repository, Admissions):
    """The statements of admissions.sql."""

    _sql = named_sql.read("trust.vault", "admissions.sql")

    def is_fresh(self) -> bool:
        return not self._fetch("is_in_use")[0][0]

    def decided_on(self, purpose: str) -> list[int]:
        return [version for (version,) in self._fetch("decided_on", purpose)]

    def add_approval(self, approval: PolicyApproval, signed: Signed) -> None:
        self._run(
            "add_approval",
            approval.purpose,
            approval.version,
            approval.approver,
            signed.document,
            signed.signature,
        )

    def approvals(self, purpose: str, version: int) -> list[Signed]:
        rows = self._fetch("approvals", purpose, version)
        return [Signed(bytes(document), bytes(signature)) for document, signature in rows]

    def admit(self, admission: Admission) -> None:
        signed = sign_admission(admission, self._keys)
        self._run(
            "admit",
            admission.purpose,
            admission.version,
            signed.document,
            self._keys.key_id,
            signed.signature,
        )

    def get(self, purpose: str, version: int) -> Admission | None:
        rows = self._fetch("admission", purpose, version)
        if not rows:
            return None
        document, signature = map(bytes, rows[0])
        return verified_admission(Signed(document, signature), purpose, version, self._keys)

    def all(self) -> list[tuple[str, int]]:
        return [(purpose, version) for purpose, version in self._fetch("admitted")]

"""How versions of purposes came into force, within one transaction: approvals and admissions."""

from typing import Any, Final

from runtime.database import named_sql
from trust.domain import canonical
from trust.domain.approval import ADMISSION_KIND, Admission, PolicyApproval
from trust.domain.reidentify import Signed
from trust.errors import Tampered
from trust.ports import Keys
from trust.vault.database import Connection, Row

_SQL: Final = named_sql.read("trust.vault", "policies.sql")


class PolicyRegister:
    """
    Approvals and admissions, seen from inside one transaction.

    Args:
        connection: In that transaction.

        keys: To sign and verify admissions with.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def _run(self, name: str, *arguments: Any) -> int:
        return self._connection.execute(_SQL[name], arguments).rowcount

    def _fetch(self, name: str, *arguments: Any) -> list[Row]:
        return self._connection.execute(_SQL[name], arguments).fetchall()

    def is_fresh(self) -> bool:
        """Tell whether there never was a person or an officer here."""
        return not self._fetch("is_in_use")[0][0]

    def decided_on(self, purpose: str) -> list[int]:
        """Return the versions of *purpose* that somebody decided on."""
        return [version for (version,) in self._fetch("decided_on", purpose)]

    def add_approval(self, approval: PolicyApproval, signed: Signed) -> None:
        """Keep an approval, as it was signed."""
        self._run(
            "add_policy_approval",
            approval.purpose,
            approval.version,
            approval.approver,
            signed.document,
            signed.signature,
        )

    def approvals(self, purpose: str, version: int) -> list[Signed]:
        """Return the approvals of a version, the first one first."""
        rows = self._fetch("policy_approvals", purpose, version)
        return [Signed(bytes(document), bytes(signature)) for document, signature in rows]

    def admit(self, admission: Admission) -> None:
        """Keep how a version came into force, signed."""
        document = canonical.encode(admission)
        signature = self._keys.sign(canonical.to_sign(ADMISSION_KIND, document))
        self._run(
            "admit",
            admission.purpose,
            admission.version,
            document,
            self._keys.key_id,
            signature,
        )

    def admission(self, purpose: str, version: int) -> Admission | None:
        """
        Return how a version came into force; None where that is not on record.

        Raises:
            Tampered: It is not as it was signed.
        """
        rows = self._fetch("admission", purpose, version)
        if not rows:
            return None
        document, signature = map(bytes, rows[0])
        signed = canonical.to_sign(ADMISSION_KIND, document)
        self._keys.verify(signature, signed, what="the admission of a policy")
        found = canonical.decode(document, Admission, what="the admission of a policy")
        if (found.purpose, found.version) != (purpose, version):
            raise Tampered("the admission of a policy")
        return found

    def admitted(self) -> list[tuple[str, int]]:
        """Return the versions of which it is on record how they came into force."""
        return [(purpose, version) for purpose, version in self._fetch("admitted")]

    def digest(self, purpose: str, version: int) -> str:
        """Return the SHA-256 of a version's document, which is there."""
        document = bytes(self._fetch("document", purpose, version)[0][0])
        return canonical.digest(document).hex()

"""Versions of purposes, and how they came into force, in memory."""

import datetime as dt

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import PurposeRow, require
from trust.domain.approval import Admission, PolicyApproval
from trust.domain.purposes import Purpose
from trust.domain.reidentify import Signed
from trust.errors import NotFound
from trust.vault.records.purposes import (
    Admissions,
    Purposes,
    sign_admission,
    sign_purpose,
    verified_admission,
    verified_purpose,
)


class MemoryPurposes(MemoryRepository, Purposes):
    """Versions of purposes, in memory."""

    def add(self, purpose: Purpose) -> bool:
        version = (purpose.name, purpose.version)
        if version in self._tables.purposes:
            return False
        self._tables.purposes[version] = PurposeRow(sign_purpose(purpose, self._keys), self._now())
        return True

    def share(self, purpose: str) -> None:
        """Do nothing: only one transaction runs at a time."""

    def lock(self, purpose: str) -> None:
        """Do nothing: only one transaction runs at a time."""

    def versions(self, purpose: str) -> list[int]:
        return sorted((v for name, v in self._tables.purposes if name == purpose), reverse=True)

    def get(self, name: str, version: int) -> Purpose:
        return verified_purpose(self.signed(name, version), name, version, self._keys)

    def loaded_at(self, name: str, version: int) -> dt.datetime:
        return self._tables.purposes[name, version].loaded_at

    def references(self) -> list[tuple[str, int]]:
        return sorted(self._tables.purposes)

    def all(self) -> list[Purpose]:
        return [self.get(name, version) for name, version in self.references()]

    def names(self) -> list[str]:
        return sorted({name for name, _ in self._tables.purposes})

    def signed(self, name: str, version: int) -> Signed:
        row = self._tables.purposes.get((name, version))
        if row is None:
            raise NotFound("purpose", "Load its policy with `vitalveil trust policy load`.")
        return row.signed


class MemoryAdmissions(MemoryRepository, Admissions):
    """How versions of purposes came into force, in memory."""

    def is_fresh(self) -> bool:
        return not self._tables.subjects and not self._tables.officers

    def decided_on(self, purpose: str) -> list[int]:
        return sorted({row.version for row in self._tables.decisions if row.purpose == purpose})

    def add_approval(self, approval: PolicyApproval, signed: Signed) -> None:
        version = (approval.purpose, approval.version)
        require(approval.approver in self._tables.officers, "policy_approvals_approver_fkey")
        self._tables.policy_approvals.setdefault(version, []).append(signed)

    def approvals(self, purpose: str, version: int) -> list[Signed]:
        return list(self._tables.policy_approvals.get((purpose, version), []))

    def admit(self, admission: Admission) -> None:
        version = (admission.purpose, admission.version)
        require(version in self._tables.purposes, "policy_admissions_purpose_version_fkey")
        require(version not in self._tables.admissions, "policy_admissions_pkey")
        self._tables.admissions[version] = sign_admission(admission, self._keys)

    def get(self, purpose: str, version: int) -> Admission | None:
        signed = self._tables.admissions.get((purpose, version))
        if signed is None:
            return None
        return verified_admission(signed, purpose, version, self._keys)

    def all(self) -> list[tuple[str, int]]:
        return sorted(self._tables.admissions)

"""Tokens of enrolment and renewals of certificates, in memory."""

import datetime as dt

from tests.fakes.vault.repository import MemoryRepository
from tests.fakes.vault.tables import EnrolmentRow, require
from trust.domain.tokens import Issued, Token
from trust.vault.records.enrolments import Enrolments, Renewal


class MemoryEnrolments(MemoryRepository, Enrolments):
    """Tokens of enrolment and renewals of certificates, in memory."""

    def add(self, token: Token, *, format: str, expires_at: dt.datetime) -> None:
        require(token.enrolment not in self._tables.enrolments, "enrolments_pkey")
        row = EnrolmentRow(token.secret_sha256, format, expires_at)
        self._tables.enrolments[token.enrolment] = row

    def lock(self, enrolment: bytes) -> Issued | None:
        row = self._tables.enrolments.get(enrolment)
        if row is None:
            return None
        return Issued(
            enrolment,
            row.secret_sha256,
            row.format,
            row.expires_at,
            row.failures,
            row.used_at,
            row.request_sha256,
            row.agent,
            row.certificate,
        )

    def fail(self, enrolment: bytes) -> None:
        if (row := self._tables.enrolments.get(enrolment)) is not None:
            row.failures += 1

    def use(
        self, enrolment: bytes, *, request_sha256: bytes, agent: str, certificate: bytes
    ) -> None:
        if (row := self._tables.enrolments.get(enrolment)) is not None:
            require(agent in self._tables.agents, "enrolments_agent_fkey")
            row.used_at, row.agent = self._now(), agent
            row.request_sha256, row.certificate = request_sha256, certificate

    def certificate_owner(self, serial: int) -> tuple[str, bool] | None:
        row = self._tables.certificates.get(serial)
        if row is None:
            return None
        agent = self._tables.agents[row.agent]
        return row.agent, agent.revoked_at is not None or row.revoked_at is not None

    def renewal(self, serial: int) -> Renewal | None:
        found = self._tables.renewals.get(serial)
        return None if found is None else found[1]

    def add_renewal(self, serial: int, *, succeeded_by: int, answer: Renewal) -> None:
        rows, certificates = self._tables.renewals, self._tables.certificates
        require({serial, succeeded_by} <= certificates.keys(), "renewals_serial_fkey")
        require(serial not in rows, "renewals_pkey")
        require(succeeded_by not in {new for new, _ in rows.values()}, "renewals_succeeded_by_key")
        rows[serial] = (succeeded_by, answer)

"""Tokens of enrolment and renewals of certificates, in PostgreSQL."""

import datetime as dt

from runtime.database import named_sql
from trust.domain.tokens import Issued, Token
from trust.vault.records.enrolments import Enrolments, Renewal
from trust.vault.repository import Repository


class PostgresEnrolments(Repository, Enrolments):
    """The statements of enrolments.sql."""

    _sql = named_sql.read("trust.vault", "enrolments.sql")

    def add(self, token: Token, *, format: str, expires_at: dt.datetime) -> None:
        self._run("add", token.enrolment, token.secret_sha256, format, expires_at)

    def lock(self, enrolment: bytes) -> Issued | None:
        rows = self._fetch("lock", enrolment)
        return Issued(*rows[0]) if rows else None

    def fail(self, enrolment: bytes) -> None:
        self._run("fail", enrolment)

    def use(
        self, enrolment: bytes, *, request_sha256: bytes, agent: str, certificate: bytes
    ) -> None:
        self._run("use", request_sha256, agent, certificate, enrolment)

    def certificate_owner(self, serial: int) -> tuple[str, bool] | None:
        rows = self._fetch("certificate_owner", serial)
        return (rows[0][0], rows[0][1]) if rows else None

    def renewal(self, serial: int) -> Renewal | None:
        rows = self._fetch("renewal", serial)
        return Renewal(*map(bytes, rows[0])) if rows else None

    def add_renewal(self, serial: int, *, succeeded_by: int, answer: Renewal) -> None:
        self._run("add_renewal", serial, succeeded_by, answer.request_sha256, answer.certificate)

"""Tokens that gateways enrol with, and renewals of their certificates."""

import datetime as dt
from typing import Protocol

import msgspec

from trust.domain.tokens import Issued, Token


class Renewal(msgspec.Struct, frozen=True):
    """The renewal of a certificate: the request, and the certificate that was issued for it."""

    request_sha256: bytes
    certificate: bytes
    """The new certificate, PEM."""


class Enrolments(Protocol):
    """Tokens that gateways enrol with, and renewals of their certificates."""

    def add(self, token: Token, *, format: str, expires_at: dt.datetime) -> None:
        """Add the digest that *token* is recognised by; the token itself is not stored."""
        ...

    def lock(self, enrolment: bytes) -> Issued | None:
        """Lock a token until the transaction ends and return it; None for an unknown one."""
        ...

    def fail(self, enrolment: bytes) -> None:
        """Count one wrong proof for a token."""
        ...

    def use(
        self, enrolment: bytes, *, request_sha256: bytes, agent: str, certificate: bytes
    ) -> None:
        """Record the request and certificate that a token was used for."""
        ...

    def certificate_owner(self, serial: int) -> tuple[str, bool] | None:
        """Return the agent of certificate *serial*, and whether either of them is revoked."""
        ...

    def renewal(self, serial: int) -> Renewal | None:
        """Return the renewal of certificate *serial*; None if it was not renewed."""
        ...

    def add_renewal(self, serial: int, *, succeeded_by: int, answer: Renewal) -> None:
        """Record that certificate *serial* was renewed; the database refuses a second renewal."""
        ...

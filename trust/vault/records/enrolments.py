"""Tokens that gateways enrol with, and renewals of their certificates."""

import datetime as dt
from typing import Protocol

import msgspec

from trust.domain.tokens import Issued, Token


class Renewal(msgspec.Struct, frozen=True):
    """What a certificate was renewed with."""

    request_sha256: bytes
    certificate: bytes
    """The new one, PEM."""


class Enrolments(Protocol):
    """Tokens that gateways enrol with, and renewals of their certificates."""

    def add(self, token: Token, *, format: str, expires_at: dt.datetime) -> None:
        """Keep what *token* is recognised by."""
        ...

    def lock(self, enrolment: bytes) -> Issued | None:
        """Return a token; nobody else uses it until the transaction ends."""
        ...

    def fail(self, enrolment: bytes) -> None:
        """Count a wrong proof."""
        ...

    def use(
        self, enrolment: bytes, *, request_sha256: bytes, agent: str, certificate: bytes
    ) -> None:
        """Note what a token was used for."""
        ...

    def certificate_owner(self, serial: int) -> tuple[str, bool] | None:
        """Return whose certificate has *serial*, and whether it or its agent is revoked."""
        ...

    def renewal(self, serial: int) -> Renewal | None:
        """Return what the certificate *serial* was renewed with, if it was."""
        ...

    def add_renewal(self, serial: int, *, succeeded_by: int, answer: Renewal) -> None:
        """Note that the certificate *serial* was renewed: once for all."""
        ...

"""Certificates of erasure verify for ever."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trust.domain.erasure_steps import Certificate, Rewritten
from trust.erasure import certificate
from trust.errors import Refused, Tampered

GIVEN = Path(__file__).with_name("erasure_certificate_1.json")
"""Written by release 0.1.0, with the key below."""
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOOKED = Rewritten(
    relations=["vv.series"],
    horizon="815",
    looked_at="2026-03-01T13:00:00.000+00:00",
    waited_ms=0,
    sessions_ended=0,
    prepared_transactions=0,
    replication_slots=1,
    standbys=0,
    sessions_with_temporary_tables=0,
)


class _Keys:
    key_id = "golden"

    def sign(self, data: bytes) -> bytes:
        return KEY.sign(data)


def _signed(which: Certificate) -> certificate.SignedCertificate:
    return certificate.sign(which, _Keys())  # type: ignore[arg-type]  # it signs, and no more


def test_a_certificate_of_before_verifies() -> None:
    """A certificate of an earlier release, without the section `looked`, is read and verified."""
    found = certificate.check(GIVEN.read_bytes(), KEY.public_key())

    assert (found.number, found.looked) == (7, None)
    assert certificate.encode(_signed(found)) == GIVEN.read_bytes()


def test_a_certificate_of_now_says_what_was_looked_at() -> None:
    """A present certificate has its own format, and decodes to the same facts."""
    old = certificate.check(GIVEN.read_bytes(), KEY.public_key())
    new = msgspec.structs.replace(old, looked={"telemetry": LOOKED})
    signed = _signed(new)

    assert signed.format == certificate.FORMAT
    assert certificate.check(certificate.encode(signed), KEY.public_key()) == new


def test_the_section_cannot_be_taken_off() -> None:
    """A present certificate without its section `looked` is refused."""
    old = certificate.check(GIVEN.read_bytes(), KEY.public_key())
    signed = _signed(msgspec.structs.replace(old, looked={"telemetry": LOOKED}))
    less = msgspec.structs.replace(signed, certificate=old)

    with pytest.raises(Refused):
        certificate.check(certificate.encode(less), KEY.public_key())
    less = msgspec.structs.replace(less, format=certificate.FORMAT_1)
    with pytest.raises(Tampered):
        certificate.check(certificate.encode(less), KEY.public_key())

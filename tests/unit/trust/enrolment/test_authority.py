"""The CA on disk: certificates for services, and the existing CRL."""

import datetime as dt
from pathlib import Path

import pytest

from trust.config import CertificateSettings
from trust.enrolment.authority import CRL_FILE, Authority

NOW = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A new CA."""
    made = Authority(tmp_path / "keys", CertificateSettings())
    made.create(now=NOW)
    return made


def test_new_certificates_leave_the_revocation_list(authority: Authority, tmp_path: Path) -> None:
    """New certificates for the services keep the existing CRL."""
    out = tmp_path / "pki"
    authority.issue_services(out, hosts=["localhost"], now=NOW)
    authority.write_revocations([(77, NOW)], out / CRL_FILE, now=NOW)
    revoked = (out / CRL_FILE).read_bytes()
    for path in [*out.glob("*.crt"), *out.glob("*.key")]:
        path.unlink()

    authority.issue_services(out, hosts=["localhost"], now=NOW)

    assert (out / CRL_FILE).read_bytes() == revoked

"""TLS contexts. Tests with the broker show that they connect."""

import ssl
from pathlib import Path

import msgspec
import pytest

from runtime import files
from runtime.errors import ConfigError
from runtime.tls import client_context
from tests.fixtures.pki import Certificates


def test_context_trusts_our_authority_alone(certificates: Certificates) -> None:
    """
    The context requires TLS 1.3, checks the server's name, and trusts only the
    configured CA.
    """
    context = client_context(certificates.client("ingest"), section="broker.tls")

    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("field", ["ca_file", "certificate_file", "key_file"])
@pytest.mark.parametrize("content", [None, b"", b"not PEM"])
def test_wrong_file_is_named(
    certificates: Certificates, tmp_path: Path, field: str, content: bytes | None
) -> None:
    """A missing, empty or wrong file is refused with the setting and the path."""
    wrong = tmp_path / "wrong.pem"
    if content is not None:
        files.write(wrong, content)
    settings = msgspec.structs.replace(certificates.client("ingest"), **{field: wrong})
    with pytest.raises(ConfigError) as raised:
        client_context(settings, section="broker.tls")

    # OpenSSL reads certificate and key together, and does not say which one is wrong.
    wanted = field if content is None or field == "ca_file" else "certificate_file"
    assert raised.value.key == f"broker.tls.{wanted}"
    assert raised.value.remedy


def test_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    """A key that does not match the certificate is refused."""
    mixed = msgspec.structs.replace(
        certificates.client("ingest"), key_file=certificates.client("trust").key_file
    )
    with pytest.raises(ConfigError) as raised:
        client_context(mixed, section="broker.tls")

    assert "matching pair" in raised.value.remedy

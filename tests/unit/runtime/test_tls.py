"""TLS contexts. That they connect is shown by the tests of the broker."""

import ssl
from pathlib import Path

import msgspec
import pytest

from runtime.errors import ConfigError
from runtime.tls import client_context
from tests.fixtures.pki import Certificates


def test_context_trusts_our_authority_alone(certificates: Certificates) -> None:
    """TLS 1.3 or nothing, the name of the server checked, no authority of the machine."""
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
    """Missing, empty or something else: the error names the setting and the file."""
    wrong = tmp_path / "wrong.pem"
    if content is not None:
        wrong.write_bytes(content)
    settings = msgspec.structs.replace(certificates.client("ingest"), **{field: wrong})
    with pytest.raises(ConfigError) as raised:
        client_context(settings, section="broker.tls")

    # OpenSSL reads certificate and key as a pair, and does not say which of them is wrong.
    wanted = field if content is None or field == "ca_file" else "certificate_file"
    assert raised.value.key == f"broker.tls.{wanted}"
    assert raised.value.remedy


def test_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    """A certificate goes with its own key."""
    mixed = msgspec.structs.replace(
        certificates.client("ingest"), key_file=certificates.client("trust").key_file
    )
    with pytest.raises(ConfigError) as raised:
        client_context(mixed, section="broker.tls")

    assert "matching pair" in raised.value.remedy

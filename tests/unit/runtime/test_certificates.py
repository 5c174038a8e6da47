"""The end of a certificate."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from runtime.certificates import Certificates, not_after

END = dt.datetime(2031, 5, 1, tzinfo=dt.UTC)


def _certificate(end: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(end - dt.timedelta(days=9))
        .not_valid_after(end)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def test_a_renewed_certificate_is_seen(tmp_path: Path) -> None:
    """A certificate that was renewed in place is read again."""
    path = tmp_path / "a.crt"
    path.write_bytes(_certificate(END))
    registry = CollectorRegistry()
    registry.register(Certificates("ends", {"client": path, "ca": tmp_path / "none.crt"}))
    assert registry.get_sample_value("ends", {"of": "client"}) == END.timestamp()
    path.write_bytes(_certificate(END + dt.timedelta(days=1)))
    assert registry.get_sample_value("ends", {"of": "client"}) == END.timestamp() + 86400


def test_what_is_no_certificate_has_no_end(tmp_path: Path) -> None:
    """A missing or invalid certificate has no end, and not the year 1970."""
    path = tmp_path / "a.crt"
    path.write_text("nothing")
    assert not_after(path) is None
    registry = CollectorRegistry()
    registry.register(Certificates("ends", {"client": path}))
    assert registry.get_sample_value("ends", {"of": "client"}) is None

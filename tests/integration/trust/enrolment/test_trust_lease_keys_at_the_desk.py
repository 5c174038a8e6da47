"""Lease keys that a gateway tells the enrolment service: which are refused, and how."""

import base64
import datetime as dt
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.x509.oid import NameOID

from edge_agent.enrolment import credentials
from tests.fixtures.vault import Office
from tests.support.enrolment_desk import Served
from tests.support.poisons import LOW_ORDER
from trust.composition import App
from trust.config import ServeSettings
from trust.domain.lease_keys import montgomery
from trust.enrolment.service import Admitted, BadRequest

pytestmark = pytest.mark.database


# Invalid lease keys

_OWN: Final = ("trust", "trust's twin", "ingest", "the request's", "the request's twin")


def _ask(office: Office, lease_key: bytes, key: Ed25519PrivateKey | None = None) -> Admitted:
    """Request a certificate as a gateway that may send any lease key."""
    token, _ = office.app.enrolment_service.issue_token(
        valid_for=dt.timedelta(hours=1), sealed=True
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = request.sign(key or Ed25519PrivateKey.generate(), None)
    pem = signed.public_bytes(serialization.Encoding.PEM)
    return office.app.enrolment_service.enrol(token.format(), request=pem, lease_key=lease_key)


@pytest.mark.parametrize("high", [0, 1 << 255], ids=["", "high bit"])
@pytest.mark.parametrize("number", LOW_ORDER)
def test_a_lease_key_that_is_none_is_refused(office: Office, number: int, high: int) -> None:
    """
    A lease key of low order is refused with a sentence, because no lease could be sealed
    to it.
    """
    with pytest.raises(BadRequest, match="not an X25519 key that anything can be sealed to"):
        _ask(office, (number | high).to_bytes(32, "little"))

    assert office.vault.fetch("SELECT count(*) FROM vault.agents") == [(0,)]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_lease_key_has_its_length(office: Office, length: int) -> None:
    """A lease key of another length is refused."""
    with pytest.raises(BadRequest, match="32 bytes"):
        _ask(office, b"\x09" * length)


@pytest.mark.parametrize("whose", _OWN)
def test_a_lease_key_is_of_no_other_use(office: Office, tmp_path: Path, whose: str) -> None:
    """Trust's key, ingest's key and the certificate's own key are refused as lease keys."""
    key = Ed25519PrivateKey.generate()
    files = {name: tmp_path / name for name in ("certificate", "key", "ca")}
    serve = ServeSettings(files["certificate"], files["key"], files["ca"], office.ingest_key)
    served = App(msgspec.structs.replace(office.settings, serve=serve))
    office.app.close()
    office.app = served
    ingest = serialization.load_pem_public_key(office.ingest_key.read_bytes())
    assert isinstance(ingest, X25519PublicKey)
    trust, own = served.keys.public_key.public_bytes_raw(), key.public_key().public_bytes_raw()
    keys = [trust, montgomery(trust), ingest.public_bytes_raw(), own, montgomery(own)]

    with pytest.raises(BadRequest, match=r"another use|not an X25519 key"):
        _ask(office, keys[_OWN.index(whose)], key)


def test_a_lease_key_is_of_one_gateway(office: Office) -> None:
    """A lease key of another gateway is refused; the token remains valid for other keys."""
    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    _ask(office, key)

    with pytest.raises(BadRequest, match="another gateway has that lease key"):
        _ask(office, key)

    assert office.vault.fetch("SELECT count(*) FROM vault.agents") == [(1,)]
    assert office.vault.fetch("SELECT failures FROM vault.enrolments WHERE used_at IS NULL") == [
        (0,)
    ]


def test_a_bad_lease_key_over_https_is_400(served: Served) -> None:
    """A bad lease key gets the status 400 and a reason that repeats nothing of the request."""
    key = Ed25519PrivateKey.generate()
    body = {
        "token": served.token(),
        "request": credentials.certificate_request(key),
        "lease_key": base64.b64encode(bytes(32)).decode(),
    }
    context = ssl.create_default_context(cafile=served.pki / "ca.crt")
    request = urllib.request.Request(  # noqa: S310 - https, to loopback
        f"{served.url}/v1/enrol",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, context=context, timeout=10)  # noqa: S310 - as above

    assert refused.value.code == 400
    assert "lease key" in refused.value.read().decode()

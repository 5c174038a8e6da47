"""Who may read a secret file: one rule, which every program and the doctor apply."""

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.config import KeySettings as AgentKeys
from edge_agent.enrolment import client, credentials
from edge_agent.errors import EdgeAgentError
from edge_agent.lease import keys as agent_keys
from ingest.config import KeySettings, read_keys
from runtime import files
from runtime.database import postgres
from runtime.errors import ConfigError
from runtime.settings import TlsSettings
from runtime.tls import client_context
from tests.fixtures.pki import Certificates
from trust.config import ServeSettings
from trust.enrolment import https_server
from trust.errors import KeyFileError
from trust.keys import files as trust_files
from vitalveil.doctor import files as doctor_files
from vitalveil.doctor.finding import Level

IS_ROOT = os.geteuid() == 0
NOBODY = 65534


def pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """Return *key* as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """Return the public half of *key* as PEM."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Secrets:
    """One secret of each kind in *folder*, and the function of a program that reads it."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self._folder = folder
        self._certificates = certificates
        tls = certificates.client("ingest")
        self.tls = TlsSettings(tls.ca_file, tls.certificate_file, folder / "tls.key")
        self._write("tls.key", tls.key_file.read_bytes())
        self._write("password", b"swordfish\n")
        self._write("x25519.key", pem(X25519PrivateKey.generate()))
        self._write("ed25519.key", pem(Ed25519PrivateKey.generate()))
        self._write("trust.pub", public_pem(Ed25519PrivateKey.generate()))
        self._write("ingest.pub", public_pem(X25519PrivateKey.generate()))
        self._write("epoch.key", base64.b64encode(bytes(32)))

    def _write(self, name: str, content: bytes) -> None:
        files.write(self._folder / name, content)

    def password(self) -> object:
        """Read a password as ingest and trust do."""
        return postgres.read_secret(self._folder / "password", key="database.password_file")

    def tls_key(self) -> object:
        """Load a TLS key as ingest, trust and the agent do."""
        return client_context(self.tls, section="broker.tls")

    def service_key(self) -> object:
        """Load the TLS key of the enrolment service."""
        return https_server.context(
            ServeSettings(
                certificate_file=self.tls.certificate_file,
                key_file=self.tls.key_file,
                ca_file=self.tls.ca_file,
                ingest_key_file=self._folder / "ingest.pub",
            )
        )

    def renewal_key(self) -> object:
        """Load the TLS key with which a gateway asks for a renewal."""
        return client.tls_context(
            self.tls.ca_file,
            certificate_file=self.tls.certificate_file,
            key_file=self.tls.key_file,
        )

    def sealing_key(self) -> object:
        """Read the private key of ingest."""
        return read_keys(KeySettings(self._folder / "x25519.key"))

    def previous_sealing_key(self) -> object:
        """Read the private key of ingest from before a rotation."""
        files.write(self._folder / "new.key", pem(X25519PrivateKey.generate()))
        return read_keys(KeySettings(self._folder / "new.key", self._folder / "x25519.key"))

    def lease_key(self) -> object:
        """Read the lease key as a running agent does."""
        return agent_keys.read(
            AgentKeys(
                self._folder / "trust.pub",
                self._folder / "ingest.pub",
                self._folder / "x25519.key",
            )
        )

    def enrolled_lease_key(self) -> object:
        """Read the lease key as an enrolment does that is repeated."""
        return credentials.lease_key(self._folder / "x25519.key")

    def gateway_key(self) -> object:
        """Read the signing key of a gateway as an enrolment does that is repeated."""
        return credentials.signing_key(self._folder / "ed25519.key")

    def trust_key(self) -> object:
        """Read a key file of trust."""
        return trust_files.read_secret(self._folder / "epoch.key")


READERS: dict[str, tuple[str, Callable[[Secrets], object]]] = {
    "password file": ("password", Secrets.password),
    "TLS key": ("tls.key", Secrets.tls_key),
    "TLS key of the service": ("tls.key", Secrets.service_key),
    "TLS key of a renewal": ("tls.key", Secrets.renewal_key),
    "key of ingest": ("x25519.key", Secrets.sealing_key),
    "key of ingest before": ("x25519.key", Secrets.previous_sealing_key),
    "lease key": ("x25519.key", Secrets.lease_key),
    "lease key at enrolment": ("x25519.key", Secrets.enrolled_lease_key),
    "key of a gateway": ("ed25519.key", Secrets.gateway_key),
    "key of trust": ("epoch.key", Secrets.trust_key),
}


@pytest.fixture
def secrets(tmp_path: Path, certificates: Certificates) -> Secrets:
    """Secrets of every kind, of mode 0600."""
    return Secrets(tmp_path, certificates)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o777], ids=oct)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_secret_that_others_may_read_is_refused_everywhere(
    secrets: Secrets, tmp_path: Path, name: str, read: Callable[[Secrets], object], mode: int
) -> None:
    """The sentence has the path, the mode and the command that repairs it; so has the doctor's."""
    path = tmp_path / name
    read(secrets)
    path.chmod(mode)

    with pytest.raises((ConfigError, KeyFileError, EdgeAgentError)) as raised:
        read(secrets)
    (found,) = doctor_files.secret("code", path)

    for text in (str(raised.value), f"{found.text}. {found.remedy}"):
        assert f"its mode is {mode:04o}" in text
        assert f"chmod 600 {path}" in text
    assert found.level is Level.WRONG


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700], ids=oct)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_secret_of_its_owner_is_read(
    secrets: Secrets, tmp_path: Path, name: str, read: Callable[[Secrets], object], mode: int
) -> None:
    """Modes without rights of others are enough, for the doctor as well."""
    (tmp_path / name).chmod(mode)
    read(secrets)
    (found,) = doctor_files.secret("code", tmp_path / name)
    assert found.level is Level.SOUND


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
@pytest.mark.parametrize(
    ("owner", "group", "mode", "problem"),
    [
        (0, 0, 0o440, None),  # a credential of systemd: an access list is shown as the group
        (0, NOBODY, 0o440, None),  # a secret of Kubernetes with fsGroup
        (0, NOBODY, 0o640, None),
        (0, NOBODY, 0o444, "its mode is 0444"),  # a secret of Docker Swarm, by default
        (0, NOBODY, 0o660, "its mode is 0660"),
        (NOBODY, NOBODY, 0o400, None),
        (NOBODY, NOBODY, 0o640, "its mode is 0640"),
        (12345, NOBODY, 0o640, "belongs to another user"),
        (12345, 12345, 0o604, "belongs to another user"),
    ],
)
def test_root_hands_a_secret_to_a_group(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: int,
    group: int,
    mode: int,
    problem: str | None,
) -> None:
    """As PostgreSQL has it: what root owns may be readable by a group, and nothing else may."""
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    os.chown(path, owner, group)
    path.chmod(mode)
    # Only the judgement is tested: whether the kernel lets that user read is its own affair.
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)

    if problem is None:
        assert files.read_secret(path) == b"x"
    else:
        with pytest.raises(files.ExposedSecret, match=problem):
            files.read_secret(path)


def test_link_is_followed_to_the_secret(tmp_path: Path) -> None:
    """Kubernetes shows a secret as a link, whose own mode says nothing."""
    (tmp_path / "data").write_bytes(b"x")
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "data").chmod(0o644)
    with pytest.raises(files.ExposedSecret):
        files.read_secret(tmp_path / "link")
    (tmp_path / "data").chmod(0o400)
    assert files.read_secret(tmp_path / "link") == b"x"


def test_secret_from_a_pipe_is_read(tmp_path: Path) -> None:
    """`--password-file <(command)` of a shell is a pipe that only this user may open."""
    reading, writing = os.pipe()
    os.write(writing, b"swordfish\n")
    os.close(writing)
    try:
        assert postgres.read_secret(Path(f"/dev/fd/{reading}"), key="--password-file") == (
            "swordfish"
        )
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "it does not exist"),
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: files.write(path, b"\xff\xfe"), "not text in UTF-8"),
    ],
)
def test_password_file_that_is_none_is_named(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    """A missing file, a folder, a binary file: the cause, not the name of a class of Python."""
    make(tmp_path / "password")
    with pytest.raises(ConfigError, match=said) as raised:
        postgres.read_secret(tmp_path / "password", key="database.password_file")
    assert "Error" not in str(raised.value)
    assert str(tmp_path / "password") in str(raised.value)

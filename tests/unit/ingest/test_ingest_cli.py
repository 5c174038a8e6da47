"""The command of ingest: errors name the key and the remedy, and never a secret."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ingest.cli import main
from ingest.storage.database import DatabaseSettings, connection_string
from runtime import files
from tests.fixtures.pki import Certificates


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Complete settings, with every file that they name."""
    certificates = Certificates(tmp_path / "pki")
    tls = certificates.client("ingest")
    assert main(["keygen", "--out", str(tmp_path / "keys")]) == 0
    files.write(tmp_path / "password", b"swordfish\n")
    path = tmp_path / "ingest.toml"
    path.write_text(
        f"""
[broker.tls]
ca_file = "{tls.ca_file}"
certificate_file = "{tls.certificate_file}"
key_file = "{tls.key_file}"
[database]
dsn = "host=db dbname=vv_telemetry user=vv_ingest"
password_file = "{tmp_path}/password"
[keys]
private_key_file = "{tmp_path}/keys/ingest.key"
"""
    )
    return path


def test_complete_settings_pass(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check-config` accepts complete settings, and prints no setting."""
    assert main(["check-config", "--config", str(settings)]) == 0
    out = capsys.readouterr().out
    assert "complete" in out
    assert "swordfish" not in out


MISTAKES = [
    pytest.param("[keys]", "[keyz]", "keyz.private_key_file", id="unknown section"),
    pytest.param("user=vv", "password=hunter2 user=vv", "database", id="password in the dsn"),
    pytest.param("host=db", "nonsense", "database", id="no dsn"),
    pytest.param("/password", "/passwort", "database.password_file", id="no password file"),
    pytest.param('ingest.key"\n', 'ingest.pub"\n', "keys.private_key_file", id="public key"),
    pytest.param("ca.crt", "ca.cert", "broker.tls.ca_file", id="no CA"),
    pytest.param("[keys]", "[flush]\nmax_envelopes = 0\n[keys]", "flush", id="no sense"),
]


@pytest.mark.parametrize(("before", "after", "key"), MISTAKES)
def test_mistake_is_named_with_its_key(
    settings: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, key: str
) -> None:
    """A mistake gives exit code 2 and the key with its source, without the value."""
    text = settings.read_text()
    assert before in text
    settings.write_text(text.replace(before, after))
    assert main(["check-config", "--config", str(settings)]) == 2
    error = capsys.readouterr().err
    assert f"{key} (from " in error
    assert "hunter2" not in error


def test_key_that_others_may_read_is_refused(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A private key that other users can read is refused."""
    (settings.parent / "keys" / "ingest.key").chmod(0o640)
    assert main(["check-config", "--config", str(settings)]) == 2
    assert "other users may read the file" in capsys.readouterr().err


def test_keygen_makes_a_pair_and_never_replaces_one(tmp_path: Path) -> None:
    """`keygen` makes a pair that only the owner can read, and never overwrites one."""
    assert main(["keygen", "--out", str(tmp_path)]) == 0
    private = tmp_path / "ingest.key"
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    key = serialization.load_pem_private_key(before, None)
    public = serialization.load_pem_public_key((tmp_path / "ingest.pub").read_bytes())
    assert isinstance(key, X25519PrivateKey)
    assert isinstance(public, X25519PublicKey)
    assert key.public_key().public_bytes_raw() == public.public_bytes_raw()
    assert main(["keygen", "--out", str(tmp_path)]) == 2
    assert private.read_bytes() == before


@pytest.mark.parametrize("role", ["postgres=x", "vv_ingest", "vv_ingest="])
def test_only_our_roles_get_passwords(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A password for an unknown role is refused."""
    assert main(["migrate", "--dsn", "host=db", "--role-password", role]) == 2
    assert "--role-password" in capsys.readouterr().err


def test_password_comes_from_its_file(tmp_path: Path) -> None:
    """The first line, whatever it holds, is quoted for libpq."""
    files.write(tmp_path / "p", b"it's a 'secret'\nand a note\n")
    conninfo = connection_string(DatabaseSettings("host=db", tmp_path / "p"), application="test")
    assert r"password='it\'s a \'secret\''" in conninfo

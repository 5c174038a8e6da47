"""Keys in files: made once, private, and each for its own use."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trust.errors import KeyFileError, Tampered
from trust.keys import file_keys
from trust.keys.file_keys import FileKeys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with new keys."""
    file_keys.create(tmp_path / "keys")
    return tmp_path / "keys"


def test_secret_files_are_for_their_owner(folder: Path) -> None:
    """Only the owner can read the keys and list the folder."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {
        "pseudonym-root.key": 0o600,
        "key-encryption.key": 0o600,
        "signing.key": 0o600,
        "trust.pub": 0o644,
    }
    assert folder.stat().st_mode & 0o777 == 0o700


def test_keys_are_never_overwritten(folder: Path) -> None:
    """A second `init` changes nothing, because new keys would make the vault unreadable."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeyFileError, match="already"):
        file_keys.create(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_half_made_keys_are_not_completed(folder: Path) -> None:
    """A folder with some keys missing is not completed, because a backup is needed."""
    (folder / file_keys.ROOT_FILE).unlink()
    with pytest.raises(KeyFileError, match="already"):
        file_keys.create(folder)


@pytest.mark.parametrize(
    "name", [file_keys.ROOT_FILE, file_keys.KEY_ENCRYPTION_FILE, file_keys.SIGNING_FILE]
)
def test_key_open_to_others_is_refused(folder: Path, name: str) -> None:
    """A key that others can read is refused by its name."""
    (folder / name).chmod(0o640)
    with pytest.raises(KeyFileError, match=name):
        FileKeys(folder)


@pytest.mark.parametrize(
    "name", [file_keys.ROOT_FILE, file_keys.KEY_ENCRYPTION_FILE, file_keys.SIGNING_FILE]
)
@pytest.mark.parametrize("content", [b"", b"AAAA", b"\xff" * 32, b"-----BEGIN PRIVATE KEY-----"])
def test_damaged_key_is_refused(folder: Path, name: str, content: bytes) -> None:
    """A damaged key is refused by its name, without its content."""
    (folder / name).write_bytes(content)
    with pytest.raises(KeyFileError, match=name):
        FileKeys(folder)


def test_missing_keys_say_how_to_make_them(tmp_path: Path) -> None:
    """If keys are missing, the error names the command that makes them."""
    with pytest.raises(KeyFileError, match="trust init"):
        FileKeys(tmp_path)


def test_unwrap_inverts_wrap_for_its_record(folder: Path) -> None:
    """A data key is unwrapped only for the record that it was wrapped for."""
    ours = FileKeys(folder)
    wrapped = ours.wrap(bytes(32), bound_to=b"ada")
    assert ours.unwrap(wrapped, bound_to=b"ada") == bytes(32)
    with pytest.raises(Tampered):
        ours.unwrap(wrapped, bound_to=b"bob")


def test_keys_of_another_folder_open_nothing(folder: Path, tmp_path: Path) -> None:
    """Keys of another installation neither unwrap nor verify, and give other pseudonyms."""
    file_keys.create(tmp_path / "others")
    ours, others = FileKeys(folder), FileKeys(tmp_path / "others")
    with pytest.raises(Tampered):
        others.unwrap(ours.wrap(bytes(32), bound_to=b""), bound_to=b"")
    with pytest.raises(Tampered):
        others.verify(ours.sign(b"x"), b"x", what="a policy")
    assert ours.pseudonym_key(purpose="p") != others.pseudonym_key(purpose="p")
    assert ours.key_id != others.key_id


def test_verify_accepts_what_was_signed(folder: Path) -> None:
    """After reading from disk the keys verify their own signatures, and no others."""
    signature = FileKeys(folder).sign(b"decision")
    FileKeys(folder).verify(signature, b"decision", what="a decision")
    with pytest.raises(Tampered, match="a decision"):
        FileKeys(folder).verify(signature, b"decisions", what="a decision")


def test_keys_of_other_kinds_are_refused(folder: Path) -> None:
    """A signing key of another kind than Ed25519 is refused."""
    pem = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (folder / file_keys.SIGNING_FILE).write_bytes(pem)
    with pytest.raises(KeyFileError, match="Ed25519"):
        FileKeys(folder)


def test_agents_pin_the_public_half(folder: Path) -> None:
    """Leases are signed with the key of trust.pub, in the first epoch."""
    ours = FileKeys(folder)
    assert (
        file_keys.public_pem(ours.signing_key.public_key())
        == (folder / file_keys.PUBLIC_FILE).read_bytes()
    )
    assert file_keys.public_pem(ours.public_key) == (folder / file_keys.PUBLIC_FILE).read_bytes()
    assert ours.pseudonym_key(purpose="p") == ours.pseudonym_key(purpose="p")


def test_a_later_epoch_has_a_root_of_its_own(folder: Path) -> None:
    """Each epoch of each purpose has its own root key, which can be destroyed alone."""
    ours, daemon = FileKeys(folder), FileKeys(folder)
    with pytest.raises(KeyFileError):
        ours.pseudonym_key(purpose="p", epoch=2)
    ours.begin_epoch(purpose="p", epoch=2)
    second = ours.pseudonym_key(purpose="p", epoch=2)
    ours.begin_epoch(purpose="p", epoch=2)

    assert second == daemon.pseudonym_key(purpose="p", epoch=2)
    assert second != ours.pseudonym_key(purpose="p")
    assert (
        ours.destroy_epoch(purpose="p", epoch=2),
        ours.destroy_epoch(purpose="p", epoch=2),
    ) == (
        True,
        False,
    )
    with pytest.raises(KeyFileError):
        ours.pseudonym_key(purpose="p", epoch=2)
    assert ours.pseudonym_key(purpose="p") == daemon.pseudonym_key(purpose="p")

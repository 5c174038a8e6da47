"""
The keys of a gateway: made and kept here, and replaced so that no crash leaves half a pair.

A new pair is written beside the old one; then the certificate is replaced, and then the key. After
a crash between the two, `settle` completes the replacement, because the new key is still there.
"""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import NameOID

from edge_agent.errors import CredentialError
from runtime import files
from runtime.causes.files import of_file
from runtime.errors import ConfigError

Private = Ed25519PrivateKey | X25519PrivateKey


def write(path: Path, content: bytes, *, private: bool) -> None:
    """
    Write *path*, whole or not at all. Once this returns, the file survives a power cut.

    Raises:
        CredentialError: The file cannot be written.
    """
    try:
        files.write(path, content, mode=files.SECRET if private else files.PUBLIC)
    except files.UnsafePlace as exc:
        raise CredentialError(path.name, f"cannot be written safely ({exc})") from None
    except OSError as exc:
        raise CredentialError(path.name, f"cannot be written: {of_file(exc)}") from None


def signing_key(path: Path) -> Ed25519PrivateKey:
    """
    Return the Ed25519 key in *path*, made and written at its first use.

    Raises:
        CredentialError: The file holds another kind of key, or cannot be written.
    """
    if not path.exists():
        write(path, pem(Ed25519PrivateKey.generate()), private=True)
    key = _read(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise CredentialError(path.name, "is not an Ed25519 key")
    return key


def lease_key(path: Path) -> X25519PrivateKey:
    """
    Return the X25519 key in *path*, made and written at its first use.

    Raises:
        CredentialError: The file holds another kind of key, or cannot be written.
    """
    if not path.exists():
        write(path, pem(X25519PrivateKey.generate()), private=True)
    key = _read(path)
    if not isinstance(key, X25519PrivateKey):
        raise CredentialError(path.name, "is not an X25519 key")
    return key


def pem(key: Private) -> bytes:
    """Return *key* as PEM, PKCS #8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def certificate_request(key: Ed25519PrivateKey) -> str:
    """Return a certificate request for *key*, PEM. It holds no name: trust chooses the name."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, None)
    return request.public_bytes(serialization.Encoding.PEM).decode()


def certificate(path: Path) -> x509.Certificate:
    """
    Return the certificate in *path*.

    Raises:
        CredentialError: The file holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as exc:
        raise CredentialError(path.name, f"cannot be read: {of_file(exc)}") from None
    except ValueError:
        raise CredentialError(path.name, "holds no certificate in PEM") from None


def check_owner(certificate_file: Path, *, agent: str) -> None:
    """
    Check that the certificate in *certificate_file* was issued to the gateway *agent*.

    The broker knows a gateway by its certificate, and lets it use the topics of that gateway
    alone: with the settings of another one it would connect and be disconnected, for ever.

    Raises:
        ConfigError: The file holds no certificate, or one of another gateway.
    """
    try:
        subject = certificate(certificate_file).subject
    except CredentialError as exc:
        raise ConfigError(
            key="broker.tls.certificate_file",
            source="the settings",
            problem=str(exc),
            remedy="Enrol this gateway with `vitalveil agent enrol`, or name the right file.",
        ) from None
    names = [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [agent]:
        raise ConfigError(
            key="agent",
            source="the settings",
            problem="the certificate in broker.tls.certificate_file was issued to another gateway",
            remedy="Set `agent` to the id in the certificate (`openssl x509 -noout -subject`), or"
            " name the files of this gateway.",
        )


def next_key(key_file: Path) -> Path:
    """Return where the new key is kept until its certificate has come."""
    return key_file.with_name(f".{key_file.name}.next")


def unfinished(file: Path) -> list[Path]:
    """Return the files that an interrupted write or replacement of *file* may have left."""
    waiting = next_key(file)
    return [*files.unfinished(file), waiting, *files.unfinished(waiting)]


def replace(certificate_file: Path, key_file: Path, new_certificate: bytes) -> None:
    """
    Replace the pair by *new_certificate* and the key in `next_key`.

    Raises:
        CredentialError: The certificate is for another key, or cannot be written. The old pair
            is unchanged.
    """
    waiting = next_key(key_file)
    if not is_pair(new_certificate, _read(waiting)):
        raise CredentialError(waiting.name, "is not the key of the certificate in the answer")
    write(certificate_file, new_certificate, private=False)
    settle(certificate_file, key_file)


def settle(certificate_file: Path, key_file: Path) -> bool:
    """
    Complete an interrupted replacement of the pair; return whether there was one.

    Raises:
        CredentialError: A file cannot be read or moved.
    """
    waiting = next_key(key_file)
    try:
        if not waiting.exists() or not is_pair(certificate_file.read_bytes(), _read(waiting)):
            return False
        waiting.replace(key_file)
        files.sync_folder(key_file.parent)
    except OSError as exc:
        raise CredentialError(key_file.name, f"cannot be moved: {of_file(exc)}") from None
    return True


def is_pair(certificate_pem: bytes, key: object) -> bool:
    """Tell whether the certificate in *certificate_pem* is for *key*."""
    try:
        found = x509.load_pem_x509_certificate(certificate_pem).public_key()
    except ValueError:
        return False
    return isinstance(key, Ed25519PrivateKey) and found == key.public_key()


def _read(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(files.read_secret(path), password=None)
    except OSError as exc:
        raise CredentialError(path.name, f"cannot be read: {of_file(exc)}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialError(path.name, "holds no private key in PEM") from None

"""The keys in the folder that an enrolment wrote for an agent."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from runtime import files
from runtime.causes.files import of_file
from simulators.fleet.errors import RosterError


def trust_key(folder: Path) -> Ed25519PublicKey:
    """
    Return the key that leases are signed with.

    Raises:
        RosterError: The file cannot be read, or is not such a key.
    """
    key = _public(folder / "trust.pub")
    if not isinstance(key, Ed25519PublicKey):
        raise RosterError("trust.pub does not hold an Ed25519 key.")
    return key


def ingest_key(folder: Path) -> X25519PublicKey:
    """
    Return the public key that envelopes are sealed to.

    Raises:
        RosterError: The file cannot be read, or is not such a key.
    """
    key = _public(folder / "ingest.pub")
    if not isinstance(key, X25519PublicKey):
        raise RosterError("ingest.pub does not hold an X25519 key.")
    return key


def lease_key(folder: Path) -> bytes:
    """
    Return the private key that leases are sealed to, as raw bytes.

    Raises:
        RosterError: The file cannot be read, or is not such a key.
    """
    return _private(folder / "lease.key")


def _public(path: Path) -> Ed25519PublicKey | X25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as exc:
        raise RosterError(f"{path.name} cannot be read: {of_file(exc)}") from None
    except ValueError:
        raise RosterError(f"{path.name} does not hold a public key in PEM.") from None
    if isinstance(key, (Ed25519PublicKey, X25519PublicKey)):
        return key
    raise RosterError(f"{path.name} holds a key of another kind.")


def _private(path: Path) -> bytes:
    try:
        key = serialization.load_pem_private_key(files.read_secret(path), password=None)
    except OSError as exc:
        raise RosterError(f"{path.name} cannot be read: {of_file(exc)}") from None
    except (ValueError, TypeError):
        raise RosterError(f"{path.name} does not hold a private key in PEM.") from None
    if not isinstance(key, X25519PrivateKey):
        raise RosterError(f"{path.name} holds a key of another kind.")
    return key.private_bytes_raw()

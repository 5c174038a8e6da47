"""Read the agent's keys from their files. Errors name the file, never its content."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from edge_agent.config import KeySettings
from runtime import files
from runtime.errors import ConfigError, unusable
from wire import agreement
from wire.agreement import Agreement
from wire.errors import WeakKey


class Keys(msgspec.Struct, frozen=True):
    """The public keys of trust and ingest, and the private lease key of this agent."""

    trust: Ed25519PublicKey
    ingest: X25519PublicKey
    lease: X25519PrivateKey


def read(settings: KeySettings) -> Keys:
    """
    Read the three key files.

    Raises:
        ConfigError: A file is missing, readable by others, or holds another kind of key.
    """
    trust = _public("keys.trust_file", settings.trust_file)
    if not isinstance(trust, Ed25519PublicKey):
        raise _not_a("keys.trust_file", settings.trust_file, Ed25519PublicKey.__name__)
    ingest = _public("keys.ingest_file", settings.ingest_file)
    if not isinstance(ingest, X25519PublicKey):
        raise _not_a("keys.ingest_file", settings.ingest_file, X25519PublicKey.__name__)
    return Keys(trust, ingest, _private("keys.lease_file", settings.lease_file))


def agree(held: Keys, *, agent: str, source: KeySettings) -> Agreement:
    """
    Return the keys that *agent* shares with ingest.

    Raises:
        ConfigError: The public key of ingest is weak: it gives the same secret with every key.
    """
    try:
        return agreement.of_agent(held.lease, held.ingest.public_bytes_raw(), agent)
    except WeakKey:
        raise _not_a("keys.ingest_file", source.ingest_file, "key of ingest") from None


def _public(name: str, path: Path) -> PublicKeyTypes:
    data = _read(name, path)
    try:
        return serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise _not_a(name, path, "public key") from None


def _private(name: str, path: Path) -> X25519PrivateKey:
    data = _read(name, path, read=files.read_secret)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _not_a(name, path, X25519PrivateKey.__name__) from None
    if not isinstance(key, X25519PrivateKey):
        raise _not_a(name, path, X25519PrivateKey.__name__)
    return key


def _read(name: str, path: Path, *, read: Callable[[Path], bytes] = Path.read_bytes) -> bytes:
    try:
        return read(path)
    except OSError as exc:
        raise unusable(path, exc, key=name) from None


def _not_a(name: str, path: Path, kind: str) -> ConfigError:
    return ConfigError(
        key=name,
        source=str(path),
        problem=f"the file does not hold a PEM {kind}",
        remedy="Copy the file of this name from the bundle that trust wrote at enrolment.",
    )

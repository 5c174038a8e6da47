"""
Keys in files: the backend `file` of the port `Keys`.

There are three independent keys: the root key of the pseudonyms, the key-encryption key of the
vault and the signing key. Each has its own file with mode 0600, which `vitalveil trust init`
creates once. Back the folder up separately from the vault: folder and vault together reveal all
identities, and without the folder all identities are lost.
"""

import base64
import binascii
import hashlib
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trust.domain import pseudonyms, subjects
from trust.errors import KeyFileError, Tampered
from trust.keys import files

ROOT_FILE: Final = "pseudonym-root.key"
KEY_ENCRYPTION_FILE: Final = "key-encryption.key"
SIGNING_FILE: Final = "signing.key"
PUBLIC_FILE: Final = "trust.pub"
_FIRST_EPOCH: Final = 1
_TOMBSTONES: Final = "/tombstones"
_WITNESSES: Final = "/witnesses"
_LIKENESSES: Final = "/likenesses"
"""Name under which the witness key is derived; a purpose has no slash in its name."""
_WRAP: Final = b"vitalveil data key v1\x00"


class FileKeys:
    """
    The keys of a folder; the three main keys are read once, at the start.

    Args:
        folder: The folder, filled by `create`.

    Raises:
        KeyFileError: A file is missing, damaged, or readable by other users.
    """

    def __init__(self, folder: Path) -> None:
        self._root_key = _read_symmetric(folder / ROOT_FILE)
        self._key_encryption_key = _read_symmetric(folder / KEY_ENCRYPTION_FILE)
        pem = files.read_secret(folder / SIGNING_FILE)
        signing_key = files.private_key(pem, name=SIGNING_FILE)
        if not isinstance(signing_key, Ed25519PrivateKey):
            raise KeyFileError(SIGNING_FILE, "not an Ed25519 key", "Restore it from its backup.")
        self._signing_key = signing_key
        self._public_key = signing_key.public_key()
        self._key_id = hashlib.sha256(self._public_key.public_bytes_raw()).hexdigest()[:16]
        self._folder = folder
        self._pseudonym_keys: dict[tuple[str, int], bytes] = {}

    @property
    def key_id(self) -> str:
        return self._key_id

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        return self._signing_key

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._public_key

    def pseudonym_key(self, *, purpose: str, epoch: int = _FIRST_EPOCH) -> bytes:
        if (purpose, epoch) not in self._pseudonym_keys:
            # The file is read when needed, because an epoch may begin while the daemon runs.
            root_key = (
                self._root_key
                if epoch == _FIRST_EPOCH
                else _read_symmetric(self._epoch_file(purpose, epoch))
            )
            self._pseudonym_keys[purpose, epoch] = pseudonyms.derive_key(
                root_key, purpose=purpose, epoch=epoch
            )
        return self._pseudonym_keys[purpose, epoch]

    def begin_epoch(self, *, purpose: str, epoch: int) -> None:
        path = self._epoch_file(purpose, epoch)
        if not path.exists():
            files.write(path, _new_symmetric(), mode=files.SECRET)

    def destroy_epoch(self, *, purpose: str, epoch: int) -> bool:
        self._pseudonym_keys.pop((purpose, epoch), None)
        return files.destroy(self._epoch_file(purpose, epoch))

    def _epoch_file(self, purpose: str, epoch: int) -> Path:
        return self._folder / f"pseudonym-root.{purpose}.{epoch}.key"

    @property
    def tombstone_key(self) -> bytes:
        return pseudonyms.derive_key(self._root_key, purpose=_TOMBSTONES, epoch=0)

    @property
    def likeness_key(self) -> bytes:
        return pseudonyms.derive_key(self._root_key, purpose=_LIKENESSES, epoch=0)

    @property
    def witness_key(self) -> bytes:
        return pseudonyms.derive_key(self._root_key, purpose=_WITNESSES, epoch=0)

    def wrap(self, data_key: bytes, *, bound_to: bytes) -> bytes:
        return subjects.seal(self._key_encryption_key, data_key, bound_to=_WRAP + bound_to)

    def unwrap(self, wrapped: bytes, *, bound_to: bytes) -> bytes:
        return subjects.open_sealed(
            self._key_encryption_key, wrapped, bound_to=_WRAP + bound_to, what="a data key"
        )

    def sign(self, data: bytes) -> bytes:
        return self._signing_key.sign(data)

    def verify(self, signature: bytes, data: bytes, *, what: str) -> None:
        try:
            self._public_key.verify(signature, data)
        except InvalidSignature:
            raise Tampered(what) from None


def create(folder: Path) -> list[Path]:
    """
    Create the keys of a new installation in *folder*; return the paths of the files.

    Raises:
        KeyFileError: The folder has keys already; overwriting them would lose every identity.
    """
    files.make_folder(folder)
    signing_key = Ed25519PrivateKey.generate()
    pem = signing_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    contents = {
        ROOT_FILE: (_new_symmetric(), files.SECRET),
        KEY_ENCRYPTION_FILE: (_new_symmetric(), files.SECRET),
        SIGNING_FILE: (pem, files.SECRET),
        PUBLIC_FILE: (public_pem(signing_key.public_key()), files.PUBLIC),
    }
    for name in contents:
        if (folder / name).exists():
            raise KeyFileError(
                name, "there are keys already", "Keep them: without them the vault is unreadable."
            )
    for name, (content, mode) in contents.items():
        files.write(folder / name, content, mode=mode)
    return [folder / name for name in contents]


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return *key* as SubjectPublicKeyInfo, in PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _new_symmetric() -> bytes:
    return base64.b64encode(secrets.token_bytes(pseudonyms.ROOT_KEY_BYTES)) + b"\n"


def _read_symmetric(path: Path) -> bytes:
    try:
        key = base64.b64decode(files.read_secret(path).strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != pseudonyms.ROOT_KEY_BYTES:
        raise KeyFileError(path.name, "not 32 bytes in base64", "Restore it from its backup.")
    return key

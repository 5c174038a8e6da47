"""
Encrypts files with a passphrase: Argon2id (RFC 9106), then AES-256-GCM in chunks.

The additional data of each chunk are the header, the number of the chunk, and whether it is the
last one. A chunk that was changed, moved or left out, and a file that was cut off, is therefore
detected. Neither side holds more than one chunk in memory.
"""

import io
import secrets
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from formats.errors import Unopened

MAGIC: Final = b"vitalveil export 1\n"
MIN_PASSPHRASE: Final = 12
_CHUNK_BYTES: Final = 1 << 18
_TAG_BYTES: Final = 16
_MAX_HEADER_BYTES: Final = 4096
_MAX_MEMORY_KIB: Final = 1 << 20


class Kdf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of the key derivation from the passphrase."""

    salt: bytes
    name: str = "argon2id"
    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 65_536


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header of an export, which is authenticated but not encrypted."""

    export: str
    made_at: str
    kdf: Kdf


class Sealer(io.RawIOBase):
    """
    A writable file that encrypts its contents into another file.

    `finish` completes the encrypted file; `close` does not.

    Args:
        into: The encrypted file, opened for writing.

        header: The header of the export.

        passphrase: The passphrase that opens the file.
    """

    def __init__(self, into: BinaryIO, header: Header, passphrase: str) -> None:
        super().__init__()
        encoded = msgspec.json.encode(header)
        self._into = into
        self._start = MAGIC + struct.pack(">I", len(encoded)) + encoded
        self._cipher = AESGCM(_derive(header.kdf, passphrase))
        self._waiting = bytearray()
        self._number = 0
        into.write(self._start)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        # Keep one byte more than a chunk, because only `finish` knows which chunk is the last.
        while len(self._waiting) > _CHUNK_BYTES:
            self._seal(bytes(self._waiting[:_CHUNK_BYTES]), is_last=False)
            del self._waiting[:_CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk, without which the file cannot be opened."""
        self._seal(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        nonce, associated = _chunk_parameters(self._start, self._number, is_last=is_last)
        self._into.write(bytes([is_last]) + self._cipher.encrypt(nonce, chunk, associated))
        self._number += 1


def unseal(sealed: BinaryIO, passphrase: str) -> Iterator[bytes]:
    """
    Yield the decrypted chunks. The caller must discard them all if an exception follows.

    Raises:
        Unopened: The passphrase is wrong, or the file is damaged, incomplete or not an export.
    """
    header, start = _read_header(sealed)
    cipher = AESGCM(_derive(header.kdf, passphrase))
    number = 0
    while True:
        frame = sealed.read(1 + _CHUNK_BYTES + _TAG_BYTES)
        if not frame or frame[0] > 1:
            raise Unopened
        is_last = bool(frame[0])
        nonce, associated = _chunk_parameters(start, number, is_last=is_last)
        try:
            yield cipher.decrypt(nonce, frame[1:], associated)
        except InvalidTag:
            raise Unopened from None
        number += 1
        if is_last:
            if sealed.read(1):
                raise Unopened
            return


def _read_header(sealed: BinaryIO) -> tuple[Header, bytes]:
    start = sealed.read(len(MAGIC) + 4)
    if not start.startswith(MAGIC) or len(start) != len(MAGIC) + 4:
        raise Unopened
    (length,) = struct.unpack(">I", start[len(MAGIC) :])
    encoded = sealed.read(min(length, _MAX_HEADER_BYTES))
    try:
        header = msgspec.json.decode(encoded, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unopened from None
    if header.kdf.name != "argon2id" or header.kdf.memory_kib > _MAX_MEMORY_KIB:
        raise Unopened
    return header, start + encoded


def new_kdf() -> Kdf:
    """Return the second recommended option of RFC 9106, section 4 (64 MiB), with a new salt."""
    return Kdf(secrets.token_bytes(16))


def _derive(kdf: Kdf, passphrase: str) -> bytes:
    try:
        return Argon2id(
            salt=kdf.salt,
            length=32,
            iterations=kdf.iterations,
            lanes=kdf.lanes,
            memory_cost=kdf.memory_kib,
        ).derive(passphrase.encode())
    except (ValueError, OverflowError, MemoryError):
        raise Unopened from None


def _chunk_parameters(start: bytes, number: int, *, is_last: bool) -> tuple[bytes, bytes]:
    """Return the nonce and the associated data of the chunk *number*."""
    # Each file has a new salt and so a new key, under which no counter repeats.
    return struct.pack(">IQ", 0, number), start + struct.pack(">Q?", number, is_last)

"""
A file that only a passphrase opens: Argon2id (RFC 9106), then AES-256-GCM in chunks.

Each chunk is bound to its place and to being the last or not, and to the header; so none can be
changed, moved, left out or cut off unnoticed, and neither side ever holds more than one.
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
    """How the key follows from the passphrase."""

    salt: bytes
    name: str = "argon2id"
    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 65_536


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is not secret about an export."""

    export: str
    made_at: str
    kdf: Kdf


class Sealer(io.RawIOBase):
    """
    A file to write to, whose bytes are sealed into another. Finished by `finish`, not by `close`.

    Args:
        into: The other.

        header: What is not secret.

        passphrase: What opens it.
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
        # One byte more than a chunk: the last chunk is only known at the end.
        while len(self._waiting) > _CHUNK_BYTES:
            self._seal(bytes(self._waiting[:_CHUNK_BYTES]), is_last=False)
            del self._waiting[:_CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk: without it the file does not open."""
        self._seal(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        nonce, bound_to = _place(self._start, self._number, is_last=is_last)
        self._into.write(bytes([is_last]) + self._cipher.encrypt(nonce, chunk, bound_to))
        self._number += 1


def unseal(sealed: BinaryIO, passphrase: str) -> Iterator[bytes]:
    """
    Yield what was sealed, chunk by chunk. Keep nothing of it unless it ends well.

    Raises:
        Unopened: Another passphrase, or the file is damaged, cut off or none.
    """
    header, start = _read_header(sealed)
    cipher = AESGCM(_derive(header.kdf, passphrase))
    number = 0
    while True:
        frame = sealed.read(1 + _CHUNK_BYTES + _TAG_BYTES)
        if not frame or frame[0] > 1:
            raise Unopened
        is_last = bool(frame[0])
        nonce, bound_to = _place(start, number, is_last=is_last)
        try:
            yield cipher.decrypt(nonce, frame[1:], bound_to)
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
    """Return parameters with a new salt: the second choice of RFC 9106, for 64 MiB."""
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


def _place(start: bytes, number: int, *, is_last: bool) -> tuple[bytes, bytes]:
    # The salt is new for each file, so the key is, and a counter never repeats under it.
    return struct.pack(">IQ", 0, number), start + struct.pack(">Q?", number, is_last)

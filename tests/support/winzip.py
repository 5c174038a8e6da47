"""
Opens ZIP archives with AES as WinZip describes them, without the library that writes them.

https://www.winzip.com/en/support/aes-encryption/: the key is PBKDF2 with HMAC-SHA1 in 1,000
rounds, AES counts from 1 in little-endian order, and HMAC-SHA1, cut to 10 bytes, covers the
encrypted bytes.
"""

import hashlib
import hmac
import io
import struct
import zipfile
import zlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_AES_EXTRA = 0x9901
_METHOD = 99


def opened(data: bytes, passphrase: str) -> dict[str, bytes]:
    """
    Return the files of an archive by name.

    Raises:
        ValueError: The passphrase is wrong, or a file was changed.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {
            entry.filename: _content(data, entry, passphrase)
            if entry.compress_type == _METHOD
            else archive.read(entry)
            for entry in archive.infolist()
        }


def _content(data: bytes, entry: zipfile.ZipInfo, passphrase: str) -> bytes:
    name_bytes, extra_bytes = struct.unpack_from("<HH", data, entry.header_offset + 26)
    start = entry.header_offset + 30 + name_bytes + extra_bytes
    body = data[start : start + entry.compress_size]
    version, strength, method = _aes(entry.extra)
    assert (version, strength) == (2, 3), "AE-2 and 256 bits"
    assert entry.CRC == 0, "AE-2 has no checksum of the plain text"
    salt, check, sealed, mac = body[:16], body[16:18], body[18:-10], body[-10:]
    material = hashlib.pbkdf2_hmac("sha1", passphrase.encode(), salt, 1000, 66)
    if material[64:] != check:
        raise ValueError("wrong passphrase")
    if hmac.new(material[32:64], sealed, "sha1").digest()[:10] != mac:
        raise ValueError("changed")
    plain = _counted(material[:32], sealed)
    return zlib.decompress(plain, -15) if method == zipfile.ZIP_DEFLATED else plain


def _counted(key: bytes, sealed: bytes) -> bytes:
    blocks = range(1, -(-len(sealed) // 16) + 1)
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - CTR by hand
    stream = encryptor.update(b"".join(n.to_bytes(16, "little") for n in blocks))
    return bytes(a ^ b for a, b in zip(sealed, stream, strict=False))


def _aes(extra: bytes) -> tuple[int, int, int]:
    while extra:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _AES_EXTRA:
            version, _, strength, method = struct.unpack_from("<H2sBH", extra, 4)
            return version, strength, method
        extra = extra[4 + length :]
    raise ValueError("not encrypted")

"""An attacker's dictionary: common hashes of all addresses of a vendor, compared with a dump."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

BYTES: Final = 8
"""Number of leading bytes that are compared; no two tokens agree in them by chance."""

HASHES: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "sha256": hashlib.sha256,
    "sha1": hashlib.sha1,
    "md5": hashlib.md5,
    "blake2b": hashlib.blake2b,
}


def of(dumped: bytes, stored: bytes) -> set[bytes]:
    """Return the leading bytes of all possible tokens: hexadecimal in a dump, raw in a file."""
    found = {stored[n : n + BYTES] for n in range(len(stored) - BYTES + 1)}
    for word in re.findall(rb"[0-9a-fA-F]{16,}", dumped):
        found.add(bytes.fromhex(word[: 2 * BYTES].decode()))
    return found


def matches(known: set[bytes], address: str, *, bits: int, hashes: Iterable[str] = HASHES) -> int:
    """Return the number of hashes of *address* and its vendor's other addresses in *known*."""
    found = 0
    for hash_of in (HASHES[name] for name in hashes):
        for form in _forms(address, bits):
            if hash_of(form).digest()[:BYTES] in known:
                found += 1
    return found


def _forms(address: str, bits: int) -> Iterator[bytes]:
    """Yield all addresses that differ only in the last *bits*, as bytes and as text."""
    raw = int(address.replace(":", ""), 16)
    first = raw >> bits << bits
    for number in range(first, first + (1 << bits)):
        text = number.to_bytes(6, "big").hex(":")
        yield number.to_bytes(6, "big")
        yield text.upper().encode()
        yield text.encode()

"""An attacker's dictionary: every address of a vendor, hashed as people do, against a dump."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

BYTES: Final = 8
"""So much of a token is compared: by chance no two of them agree in that."""

HASHES: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "sha256": hashlib.sha256,
    "sha1": hashlib.sha1,
    "md5": hashlib.md5,
    "blake2b": hashlib.blake2b,
}


def of(dumped: bytes, stored: bytes) -> set[bytes]:
    """Return the beginning of everything that could be a token: hex in a dump, raw in a file."""
    found = {stored[n : n + BYTES] for n in range(len(stored) - BYTES + 1)}
    for word in re.findall(rb"[0-9a-fA-F]{16,}", dumped):
        found.add(bytes.fromhex(word[: 2 * BYTES].decode()))
    return found


def matches(known: set[bytes], address: str, *, bits: int, hashes: Iterable[str] = HASHES) -> int:
    """Return how many hashes of *address*, and of its vendor's others, are in *known*."""
    found = 0
    for hash_of in (HASHES[name] for name in hashes):
        for form in _forms(address, bits):
            if hash_of(form).digest()[:BYTES] in known:
                found += 1
    return found


def _forms(address: str, bits: int) -> Iterator[bytes]:
    """Yield the addresses that share all but the last *bits*, raw and as text."""
    raw = int(address.replace(":", ""), 16)
    first = raw >> bits << bits
    for number in range(first, first + (1 << bits)):
        text = number.to_bytes(6, "big").hex(":")
        yield number.to_bytes(6, "big")
        yield text.upper().encode()
        yield text.encode()

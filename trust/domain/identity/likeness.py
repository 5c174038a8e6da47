"""
Likeness: how a person is recognised who was registered before, without a readable name.

Names are compared as people write them in different ways: without case, accents, blanks, hyphens
and apostrophes. What is stored is a keyed digest, so equal names are seen to be equal, and nothing
else is seen without trust's keys.
"""

import hashlib
import hmac
import unicodedata
from typing import Final

LIKENESS_BYTES: Final = 16
_NAME: Final = b"vitalveil likeness of a name v1\x00"
_INS: Final = b"vitalveil likeness of an ins v1\x00"
_LETTERS: Final = str.maketrans(
    {"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
"""Letters that Unicode does not take apart, and that many systems write otherwise."""


def comparable(name: str) -> str:
    """Return the letters and digits of *name* without case and accents."""
    # Case is folded before and after: some letters change only once they are taken apart.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    letters = folded.casefold().translate(_LETTERS)
    kept = "".join(one for one in letters if one.isalnum())
    return kept or name.casefold()


def name_likeness(name: str, born: str | None, *, key: bytes) -> bytes:
    """Return the digest of name and month of birth, 16 bytes."""
    text = f"{comparable(name)}\x00{born or ''}"
    return _digest(key, _NAME + text.encode())


def matricule_likeness(matricule: str, authority: str, *, key: bytes) -> bytes:
    """Return the digest of a matricule and its authority, 16 bytes."""
    return _digest(key, _INS + f"{authority}\x00{matricule}".encode())


def _digest(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()[:LIKENESS_BYTES]

"""What a cause in words has, and what it does not have."""

import re
from typing import Final

_CLASS: Final = re.compile(r"\b[A-Z][A-Za-z]+(?:Error|Exception|Unavailable|Lost)\b")
"""The name of an error of Python."""


def check(told: str, cause: str) -> None:
    """Check that *told* has the cause and a remedy, and neither a class nor an address."""
    assert cause in told, told
    assert told.count(". ") >= 1, told
    assert not _CLASS.search(told), told
    for secret in ("127.0.0.1", "localhost", "swordfish", "vv_test"):
        assert secret not in told, told

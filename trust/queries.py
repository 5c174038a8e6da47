"""Named SQL: the queries of a file, each under a line `-- name: what_it_does`."""

import re
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "sql"
_NAME: Final = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


def read(name: str) -> dict[str, bytes]:
    """Return the queries of sql/*name*, by their names."""
    parts = _NAME.split((_FOLDER / name).read_text(encoding="utf-8"))
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {key: text.strip().encode() for key, text in found.items()}

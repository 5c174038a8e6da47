"""Named SQL: the statements of a file, each under a line `-- name: what_it_does`."""

import re
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def read(package: str, name: str) -> dict[str, bytes]:
    """Return the statements of sql/*name* in *package*, by their names."""
    return parse(resources.files(package).joinpath("sql", name).read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, bytes]:
    """Return each statement of *text* by its name, without comments and the final semicolon."""
    pieces = _NAME.split(text)
    return {
        name: _bare(body).encode() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def _bare(body: str) -> str:
    lines = [line for line in body.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
